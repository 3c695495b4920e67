"""Reads the archive that a round sees: what stands in the rows of its snapshot, in natural order.

What is in PostgreSQL is what a model reads: standings are taken as they are stored, so that a measurement that changed
and was rescored changes the next prompt.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from discovery_service.db.rounds import is_stopped
from discovery_service.db.tables import Candidate, Evaluation, Exchange, Lineage, Measurement, Proposal, Round, Standing
from discovery_service.domain.archive import Archive, Member, Place, Refused, Screened
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.states import CandidateStatus, EvaluationStatus, ProposalStatus, Purpose
from discovery_service.engine.campaigns import was_opened

FIRST_DRAW = "0"
"""Whose series stand for a setting."""


def read_archive(session: Session, campaign_id: UUID, arena_id: UUID, rounds: Collection[int]) -> Archive:
    """Of these rounds, in the arena of the search. One that was never opened has made nobody wait for progress."""
    opened = select(Round.number).where(Round.campaign_id == campaign_id, Round.number.in_(rounds), was_opened())
    rows = session.execute(_select_candidates(campaign_id, rounds)).all()
    places = {row.Candidate.id: Place(row.number, row.slot, row.Candidate.turn) for row in rows}
    accepted = [row for row in rows if row.Candidate.status is CandidateStatus.ACCEPTED]
    keys = [row.Candidate.id for row in accepted]
    screened = _read_screens(session, arena_id, keys)
    failures = _read_failures(session, arena_id, keys)
    parents = _read_parents(session, keys, places)
    members = tuple(
        _make_member(row, places, screened.get(row.Candidate.id), failures[row.Candidate.id], parents[row.Candidate.id])
        for row in accepted
    )
    refused = [_make_refused(row, places) for row in rows if row.Candidate.status is CandidateStatus.REJECTED]
    refused += _read_unparsable(session, campaign_id, rounds)
    return Archive(tuple(sorted(session.scalars(opened))), members, tuple(sorted(refused, key=lambda each: each.place)))


def _select_candidates(campaign_id: UUID, rounds: Collection[int]) -> Any:
    return (
        select(Candidate, Round.number, Round.stopped_slots, Proposal.slot, Proposal.outcome)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id, Round.number.in_(rounds))
        .order_by(Round.number, Proposal.slot, Candidate.turn)
    )


def _make_member(
    row: Row[Any],
    places: Mapping[UUID, Place],
    screened: Screened | None,
    failures: Sequence[str],
    parents: Sequence[Place],
) -> Member:
    candidate: Candidate = row.Candidate
    return Member(
        place=places[candidate.id],
        name=candidate.name,
        author=candidate.author,
        source=candidate.readable_source or candidate.source,
        graph=candidate.graph or {},
        passport=candidate.passport or {},
        formula=candidate.formula,
        thought=(row.outcome or {}).get("thought", ""),
        screened=screened,
        is_stopped=is_stopped(row.number, row.slot, row.stopped_slots),
        failures=tuple(failures),
        parents=tuple(parents),
        twin=(candidate.twin or {}).get("library"),
    )


def _make_refused(row: Row[Any], places: Mapping[UUID, Place]) -> Refused:
    candidate: Candidate = row.Candidate
    refusal = candidate.refusal or {}
    return Refused(
        places[candidate.id], candidate.name, candidate.author, refusal.get("code", ""), refusal.get("message", "")
    )


def _read_unparsable(session: Session, campaign_id: UUID, rounds: Collection[int]) -> list[Refused]:
    """Last replies in which no loss could be found; their proposal's outcome says why."""
    last = select(func.max(Exchange.turn)).where(Exchange.proposal_id == Proposal.id).scalar_subquery()
    query = (
        select(Round.number, Proposal.slot, last.label("turn"), Proposal.proposer, Proposal.outcome)
        .join(Round, Round.id == Proposal.round_id)
        .where(
            Round.campaign_id == campaign_id,
            Round.number.in_(rounds),
            Proposal.status == ProposalStatus.UNPARSABLE,
        )
    )
    return [
        Refused(Place(row.number, row.slot, row.turn), "", row.proposer, row.outcome["code"], row.outcome["message"])
        for row in session.execute(query)
    ]


def _read_screens(session: Session, arena_id: UUID, keys: Collection[UUID]) -> dict[UUID, Screened]:
    standings = session.scalars(
        select(Standing).where(
            Standing.candidate_id.in_(keys), Standing.arena_id == arena_id, Standing.stage == Purpose.SCREEN.value
        )
    ).all()
    series = _read_series(session, arena_id, {row.candidate_id: row.setting for row in standings})
    return {row.candidate_id: _make_screened(row, series.get(row.candidate_id, {})) for row in standings}


def _make_screened(row: Standing, series: Mapping[str, Any]) -> Screened:
    difference = None
    if row.difference is not None:
        difference = Interval(row.difference, row.lower, row.upper, row.draws)
    return Screened(
        setting=Setting(**row.setting),
        difference=difference,
        means={name: Interval(**each) for name, each in row.figures.get("means", {}).items()},
        failures=tuple(each["code"] for each in row.figures.get("failed", ())),
        series=series,
    )


def _read_series(session: Session, arena_id: UUID, settings: Mapping[UUID, Any]) -> dict[UUID, dict[str, Any]]:
    """At the setting that was chosen: of tuning, as every setting that was tried has it; of a loss that came with its
    settings, of the screen."""
    query = (
        select(Evaluation.candidate_id, Evaluation.setting, Measurement.series)
        .join(Measurement, Measurement.id == Evaluation.measurement_id)
        .where(
            Evaluation.candidate_id.in_(settings),
            Evaluation.arena_id == arena_id,
            Evaluation.purpose.in_((Purpose.TUNE, Purpose.SCREEN)),
            Evaluation.draw == FIRST_DRAW,
        )
        .order_by(Evaluation.purpose == Purpose.TUNE)
    )
    return {row.candidate_id: row.series for row in session.execute(query) if row.setting == settings[row.candidate_id]}


def _read_failures(session: Session, arena_id: UUID, keys: Collection[UUID]) -> dict[UUID, list[str]]:
    query = (
        select(Evaluation.candidate_id, Evaluation.failure)
        .where(
            Evaluation.candidate_id.in_(keys),
            Evaluation.arena_id == arena_id,
            Evaluation.purpose == Purpose.TUNE,
            Evaluation.status == EvaluationStatus.FAILED,
        )
        .order_by(Evaluation.setting_sha256, Evaluation.draw)
    )
    found: dict[UUID, list[str]] = defaultdict(list)
    for candidate_id, failure in session.execute(query):
        found[candidate_id].append((failure or {}).get("code", ""))
    return found


def _read_parents(session: Session, keys: Collection[UUID], places: Mapping[UUID, Place]) -> dict[UUID, list[Place]]:
    query = select(Lineage.child_id, Lineage.parent_id).where(Lineage.child_id.in_(keys), Lineage.role == "parent")
    found: dict[UUID, list[Place]] = defaultdict(list)
    for child_id, parent_id in session.execute(query):
        # A parent stands in an earlier snapshot, which every later one holds.
        found[child_id].append(places[parent_id])
    return {child: sorted(each) for child, each in found.items()} | {key: [] for key in keys if key not in found}

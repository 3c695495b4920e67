"""What leaves a campaign: the facts of one candidate as its rows say, and which candidate is the best discovery."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.candidates import LARGE, get_candidate
from discovery_service.db.leaderboard import WHO_ANSWERED, Asked, BoardRow, Scored, iterate_board, list_known_as
from discovery_service.db.rounds import is_stopped
from discovery_service.db.standings import what_counts_last
from discovery_service.db.tables import (
    Arena,
    Candidate,
    Evaluation,
    Exchange,
    Finalist,
    Freeze,
    Lineage,
    Proposal,
    Round,
    Standing,
)
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.intervals import LEVEL, Interval
from discovery_service.domain.isolation import Level
from discovery_service.domain.known_losses import REFERENCE_LOSSES, REFERENCES
from discovery_service.domain.measuring import Setting
from discovery_service.domain.states import TRAINED, CandidateStatus, Purpose
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.domain.verdicts import Verdict
from discovery_service.engine.arenas import find_search_arena
from discovery_service.engine.campaigns import get_campaign
from discovery_service.errors import Conflict
from discovery_service.losses.bundle import write_bundle
from discovery_service.losses.export import write_module
from discovery_service.losses.exported import Evaluated, Facts, Met, Origin, Parent, Tuned


class NoConfirmedDiscovery(Conflict):
    slug, title = "no_confirmed_discovery", "Nothing was confirmed to be better"


def export_module(session: Session, candidate: Candidate) -> bytes:
    return write_module(read_facts(session, candidate)).encode()


def export_bundle(session: Session, candidate: Candidate) -> bytes:
    return write_bundle(read_facts(session, candidate), read_origin(session, candidate))


def get_exportable(session: Session, candidate_id: UUID) -> Candidate:
    candidate = get_candidate(session, candidate_id, large=LARGE).row
    if candidate.status is not CandidateStatus.ACCEPTED or candidate.check_vectors is None:
        raise Conflict(
            f"{candidate.name} has not passed the gate ({candidate.status}), and only what has can be exported."
        )
    return candidate


def get_best(session: Session, campaign_id: UUID, *, is_unconfirmed_taken: bool) -> Candidate:
    """The discovery with the highest lower bound; the best of the others only where its asker takes that."""
    best = find_best(session, campaign_id)
    if best is not None and (is_discovery(best.row.confirm) or is_unconfirmed_taken):
        return get_exportable(session, best.row.candidate.id)
    reference = REFERENCE_LOSSES[get_campaign(session, campaign_id).spec["family"]]
    told = f"No loss of this campaign is confirmed to be better than {reference} in the arena of its search."
    if best is None:
        raise NoConfirmedDiscovery(f"{told} Nothing new that was proposed has come through its screen.", standing=None)
    what = "finalist" if best.is_finalist else "screened loss"
    verdict = best.row.confirm and best.row.confirm.verdict
    shown = f", which is {verdict} {reference}" if verdict else ""
    raise NoConfirmedDiscovery(
        f"{told} The best {what} is {best.row.candidate.name}{shown}; with `unconfirmed` (`discovery export"
        " --unconfirmed`) it leaves as what it is.",
        standing=_tell_standing(best.row),
    )


_ROWS_A_PAGE = 100


class Best(NamedTuple):
    row: BoardRow
    is_finalist: bool
    """Else it was screened only."""


def find_best(session: Session, campaign_id: UUID) -> Best | None:
    """Of what was proposed, never a known loss: a discovery, else a finalist, else what was screened; by bound."""
    campaign = get_campaign(session, campaign_id)
    arena = find_search_arena(session, campaign)
    frozen = select(Finalist.candidate_id).join(Freeze).where(Freeze.campaign_id == campaign_id)
    finalists = set(session.scalars(frozen.where(Freeze.arena_id == arena.id)))
    asked = Asked([arena], [campaign_id], with_library=False)

    def list_new(asked: Asked) -> Iterator[BoardRow]:
        rows = iterate_board(session, asked, rows_a_page=_ROWS_A_PAGE)
        return (row for row in rows if row.counting is not None and _is_new(row.candidate, finalists))

    def find_place(row: BoardRow) -> tuple[bool, bool, float]:
        return not is_discovery(row.confirm), row.rank is None, -_get_bound(row)

    # Finalists are few, and losses many.
    ranked = sorted(list_new(replace(asked, stage=Purpose.CONFIRM)), key=find_place)
    best = next(chain(ranked, list_new(asked)), None)
    return None if best is None else Best(best, best.candidate.id in finalists)


def _get_bound(row: BoardRow) -> float:
    counting = row.counting
    return 0.0 if counting is None or counting.lower is None else counting.lower


def _is_new(candidate: Candidate, finalists: Collection[UUID]) -> bool:
    """A person's is accepted though it is a known loss's twin, and never a finalist."""
    is_twin = (candidate.twin or {}).get("library") is not None
    return candidate.author is not Author.LIBRARY and (candidate.id in finalists or not is_twin)


def is_discovery(confirmed: Standing | Scored | None) -> bool:
    return confirmed is not None and confirmed.verdict == Verdict.BETTER


def read_facts(session: Session, candidate: Candidate) -> Facts:
    campaign = get_campaign(session, candidate.campaign_id)
    search = find_search_arena(session, campaign)
    standings = _list_standings(session, candidate.id, search.id)
    evaluated = [
        _read_evaluated(session, *group[-1], search.id, [each for each, _ in group[:-1] if each.verdict])
        for group in standings
    ]
    last = [group[-1] for group in standings]
    return Facts(
        name=candidate.name,
        family=Family(campaign.spec["family"]),
        source=candidate.readable_source or candidate.source,
        graph_sha256=candidate.graph_sha256 or "",
        torch_version=candidate.torch_version or "",
        formula=candidate.formula,
        passport=candidate.passport or {},
        check_vectors=candidate.check_vectors or {},
        author=candidate.author,
        model=_find_model(session, candidate.proposal_id),
        campaign=campaign.name,
        known_as=tuple(list_known_as(candidate)),
        is_executed=(candidate.isolation or {}).get("level") == Level.FULL.value,
        looked_at=_count_judged(session, campaign.id).get(CandidateStatus.ACCEPTED, 0),
        evaluated=tuple(evaluated),
        tuned=None if any(arena.id == search.id for _, arena in last) else _read_tuned(session, candidate, search),
        is_confirmed=candidate.author is not Author.LIBRARY
        and any(each.arena_id == search.id and is_discovery(each) for each, _ in last),
    )


def read_origin(session: Session, candidate: Candidate) -> Origin:
    campaign = get_campaign(session, candidate.campaign_id)
    judged = _count_judged(session, campaign.id)
    return Origin(
        candidate_id=str(candidate.id),
        proposal_id=str(candidate.proposal_id),
        campaign_id=str(campaign.id),
        library=tuple(_list_library(session, campaign.id)),
        accepted=judged.get(CandidateStatus.ACCEPTED, 0),
        refused=judged.get(CandidateStatus.REJECTED, 0),
        parents=tuple(_list_parents(session, candidate.id)),
        search_arena=find_search_arena(session, campaign).spec,
    )


def _count_judged(session: Session, campaign_id: UUID) -> dict[str, int]:
    """Of what was proposed."""
    proposed = (Candidate.campaign_id == campaign_id, Candidate.author != Author.LIBRARY)
    judged = Candidate.status.in_((CandidateStatus.ACCEPTED, CandidateStatus.REJECTED))
    counts = select(Candidate.status, func.count().label("candidates")).where(*proposed, judged)
    return {row.status: row.candidates for row in session.execute(counts.group_by(Candidate.status))}


def _list_library(session: Session, campaign_id: UUID) -> Sequence[str]:
    """That it has had: the package may know more by now."""
    query = select(Candidate.name).join(Proposal, Proposal.id == Candidate.proposal_id)
    library = (Candidate.campaign_id == campaign_id, Candidate.author == Author.LIBRARY)
    return session.scalars(query.where(*library).order_by(Proposal.slot)).all()


def _list_parents(session: Session, candidate_id: UUID) -> Iterator[Parent]:
    query = (
        select(Candidate.id, Candidate.name, Lineage.role)
        .join(Lineage, Lineage.parent_id == Candidate.id)
        .where(Lineage.child_id == candidate_id)
        .order_by(Lineage.role.desc(), Candidate.id)
    )
    return (Parent(str(row.id), row.name, row.role) for row in session.execute(query))


def _list_standings(session: Session, candidate_id: UUID, search_id: UUID) -> list[list[tuple[Standing, Arena]]]:
    """The arena of the search first, and of each arena what was confirmed first: all confirmations there, of which the
    last one counts.
    """
    query = (
        select(Standing, Arena)
        .join(Arena, Arena.id == Standing.arena_id)
        .where(Standing.candidate_id == candidate_id)
        .order_by((Standing.arena_id != search_id), Arena.name, Arena.content_sha256, Standing.stage)
        .order_by(*what_counts_last())
    )
    groups: dict[tuple[UUID, str], list[tuple[Standing, Arena]]] = {}
    for standing, arena in session.execute(query):
        groups.setdefault((standing.arena_id, standing.stage), []).append((standing, arena))
    return list(groups.values())


def _find_model(session: Session, proposal_id: UUID) -> str | None:
    """Who answered last."""
    asked = select(WHO_ANSWERED).where(Exchange.proposal_id == proposal_id, WHO_ANSWERED.is_not(None))
    return session.scalars(asked.order_by(Exchange.turn.desc()).limit(1)).first()


def _read_evaluated(
    session: Session, standing: Standing, arena: Arena, search_id: UUID, before: Sequence[Standing]
) -> Evaluated:
    figures, reference = standing.figures, REFERENCE_LOSSES[arena.family]
    trained = (Evaluation.candidate_id == standing.candidate_id, Evaluation.arena_id == standing.arena_id)
    of_stage = (Evaluation.purpose == Purpose(standing.stage), Evaluation.measurement_id.is_not(None))
    policies = session.scalars(select(Evaluation.base_policy).where(*trained, *of_stage).distinct()).all()
    is_confirmation = standing.stage == Purpose.CONFIRM
    means = {name: Interval(**each) for name, each in figures.get("means", {}).items()}
    return Evaluated(
        arena=arena.name,
        is_search_arena=arena.id == search_id,
        is_confirmation=is_confirmation,
        setting=Setting(**standing.setting),
        draws=standing.draws,
        base_policies=tuple(sorted(policies)),
        met=tuple(_list_met(standing, figures, reference)),
        before=tuple(
            met for each in before for met in _list_met(each, each.figures, reference) if met.against == reference
        ),
        means=means,
        failed=len(figures.get("failed", ())),
        arena_sha256=arena.content_sha256,
        counts=counted_metric(arena.spec),
    )


def _read_tuned(session: Session, candidate: Candidate, search: Arena) -> Tuned | None:
    """None where no training of it has ended there."""
    ended = Evaluation.status.in_(TRAINED)
    trained = (Evaluation.candidate_id == candidate.id, Evaluation.arena_id == search.id)
    counts = select(func.count(), func.count(Evaluation.draw.distinct())).where(*trained, ended)
    trainings, draws = session.execute(counts.where(Evaluation.purpose == Purpose.TUNE)).one()
    place = select(Round.number, Round.stopped_slots, Proposal.slot).join(Proposal, Proposal.round_id == Round.id)
    made_in = session.execute(place.where(Proposal.id == candidate.proposal_id)).one()
    stopped = is_stopped(made_in.number, made_in.slot, made_in.stopped_slots)
    return Tuned(search.name, trainings, draws, stopped) if trainings else None


def _list_met(standing: Standing, figures: Mapping[str, Any], reference: str) -> Iterator[Met]:
    if standing.stage == Purpose.CONFIRM:
        for name, each in sorted(figures.get("against", {}).items(), key=lambda pair: pair[0] not in REFERENCES):
            difference = Interval(each["difference"], each["lower"], each["upper"], each["draws"])
            yield Met(name, difference, each["level"], each["verdict"], _list_not_better(each))
    elif standing.difference is not None:
        difference = Interval(standing.difference, standing.lower, standing.upper, standing.draws)
        yield Met(reference, difference, LEVEL)


def _list_not_better(met: Mapping[str, Any]) -> tuple[int, ...]:
    """Base policies under which nothing is gained on one of the reference's settings at least."""
    effects = [effect for each in (met, *met.get("others", ())) for effect in each.get("effects", {}).items()]
    return tuple(sorted({int(policy) for policy, effect in effects if effect <= 0}))


def _tell_standing(row: BoardRow) -> dict[str, Any]:
    """For a problem document: which one it is, how it stands and at which stage."""
    standing = row.counting
    assert standing is not None
    return {
        "candidate_id": str(row.candidate.id),
        "name": row.candidate.name,
        "author": row.candidate.author.value,
        "stage": standing.stage.value,
        "setting": dict(standing.setting),
        "draws": standing.draws,
        "difference": standing.difference,
        "lower": standing.lower,
        "upper": standing.upper,
        "verdict": standing.verdict,
    }

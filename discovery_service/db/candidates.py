"""Reads one candidate of many: the loss with where it is from, how it stands, what it has cost, and its evaluations."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from discovery_service.db.leaderboard import WHO_ANSWERED, Cost
from discovery_service.db.queries import is_arena
from discovery_service.db.rounds import is_stopped
from discovery_service.db.tables import (
    Arena,
    Campaign,
    Candidate,
    Evaluation,
    Exchange,
    Lineage,
    Measurement,
    Proposal,
    Round,
    Standing,
)
from discovery_service.domain.authors import Author
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.known_losses import REFERENCES
from discovery_service.domain.states import Purpose
from discovery_service.errors import NotFound, Unprocessable

LARGE = ("graph", "fingerprint", "passport", "check_vectors", "source", "readable_source")
"""50 KB a loss, which nobody reads by the way."""


class Found(NamedTuple):
    row: Candidate
    campaign: Campaign


class Place(NamedTuple):
    """Where a candidate was made."""

    round_id: UUID
    round: int
    slot: int
    is_stopped: bool
    """By the halving of its round."""


class Stood(NamedTuple):
    standing: Standing
    arena: str
    is_search: bool
    """In the arena of its search."""
    policies: tuple[int, ...]
    """Under which it was trained at this stage."""


@dataclass(frozen=True)
class CandidateDetail:
    row: Candidate
    campaign: Campaign
    place: Place
    model: str | None
    """Who answered with it."""
    hyperparameters: Sequence[Mapping[str, Any]] | None
    """Of its graph; None without one."""
    standings: Sequence[Stood]
    cost: Cost
    parents: int
    children: int


class Trained(NamedTuple):
    evaluation: Evaluation
    arena: Arena
    measurement: Measurement | None


def get_candidate(session: Session, candidate_id: UUID, *, large: Collection[str] = ()) -> Found:
    """With no more than these of its large columns. NotFound also where its campaign was deleted."""
    left_out = [defer(getattr(Candidate, name), raiseload=True) for name in LARGE if name not in large]
    query = select(Candidate, Campaign).join(Campaign, Campaign.id == Candidate.campaign_id).options(*left_out)
    found = session.execute(query.where(Candidate.id == candidate_id, Campaign.deleted_at.is_(None))).one_or_none()
    if found is None:
        raise NotFound(f"There is no candidate {candidate_id}.")
    return Found(*found)


def read_candidate(session: Session, candidate_id: UUID) -> CandidateDetail:
    row, campaign = get_candidate(session, candidate_id, large=("passport", "source", "readable_source"))
    model, tokens, usd = _read_exchanges(session, row)
    trained = _read_trainings(session, candidate_id)
    seconds = sum(each.device_seconds for each in trained.values())
    hyperparameters, parents, children = session.execute(_select_counts(candidate_id)).one()
    return CandidateDetail(
        row=row,
        campaign=campaign,
        place=_read_place(session, row.proposal_id),
        model=model,
        hyperparameters=hyperparameters,
        standings=_read_standings(session, row, campaign, trained),
        cost=Cost(sum(each.ended for each in trained.values()), seconds, tokens, usd),
        parents=parents,
        children=children,
    )


def _read_place(session: Session, proposal_id: UUID) -> Place:
    query = select(Round.id, Round.number, Proposal.slot, Round.stopped_slots)
    query = query.join(Proposal, Proposal.round_id == Round.id).where(Proposal.id == proposal_id)
    round_id, number, slot, stopped = session.execute(query).one()
    return Place(round_id, number, slot, is_stopped(number, slot, stopped))


def _select_counts(candidate_id: UUID) -> Any:
    """And of the graph no more than its hyper-parameters."""
    parents = select(func.count()).select_from(Lineage).where(Lineage.child_id == candidate_id)
    children = select(func.count()).select_from(Lineage).where(Lineage.parent_id == candidate_id)
    columns = (Candidate.graph["hyperparameters"], parents.scalar_subquery(), children.scalar_subquery())
    return select(*columns).where(Candidate.id == candidate_id)


def _read_exchanges(session: Session, row: Candidate) -> tuple[str | None, int, Decimal]:
    """Who answered in its turn, and what the whole proposal took, its refused turns included."""
    query = select(Exchange.turn, WHO_ANSWERED, Exchange.tokens_in, Exchange.tokens_out, Exchange.cost_usd)
    asked = session.execute(query.where(Exchange.proposal_id == row.proposal_id)).all()
    models = {turn: model for turn, model, *_ in asked}
    tokens = sum((tokens_in or 0) + (tokens_out or 0) for _, _, tokens_in, tokens_out, _ in asked)
    return models.get(row.turn), tokens, sum((usd or Decimal(0) for *_, usd in asked), Decimal(0))


class _Trainings(NamedTuple):
    """Of one arena and purpose."""

    policies: tuple[int, ...]
    ended: int
    """A reused one is charged as if it had been trained."""
    device_seconds: float


def _read_trainings(session: Session, candidate_id: UUID) -> dict[tuple[UUID, Purpose], _Trainings]:
    measured = Evaluation.measurement_id.is_not(None)
    query = (
        select(
            *(Evaluation.arena_id, Evaluation.purpose),
            func.array_agg(Evaluation.base_policy.distinct()).filter(measured),
            *(func.count(Evaluation.device_seconds), func.sum(Evaluation.device_seconds)),
        )
        .where(Evaluation.candidate_id == candidate_id)
        .group_by(Evaluation.arena_id, Evaluation.purpose)
    )
    return {
        (arena_id, purpose): _Trainings(tuple(sorted(policies or ())), ended, seconds or 0.0)
        for arena_id, purpose, policies, ended, seconds in session.execute(query)
    }


def _read_standings(
    session: Session, row: Candidate, campaign: Campaign, trained: Mapping[tuple[UUID, Purpose], _Trainings]
) -> list[Stood]:
    """Those of the search first; of an arena's stages each extension in its turn."""
    is_search = is_arena(campaign.spec["arena"])
    query = (
        select(Standing, Arena.name, is_search)
        .join(Arena, Arena.id == Standing.arena_id)
        .where(Standing.candidate_id == row.id)
        .order_by(is_search.desc(), Arena.name, Arena.content_sha256, Standing.extension)
    )
    found = []
    for standing, arena, is_there in session.execute(query):
        at = trained.get((standing.arena_id, Purpose(standing.stage)))
        found.append(Stood(standing, arena, is_there, () if at is None else at.policies))
    return found


def find_reference(session: Session, campaign_id: UUID) -> Candidate | None:
    """The loss of the campaign's library that everything is compared with."""
    query = (
        select(Candidate)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id, Round.number == LIBRARY_ROUND)
        .where(Candidate.author == Author.LIBRARY, Candidate.name.in_(REFERENCES))
        .options(*(defer(getattr(Candidate, name), raiseload=True) for name in LARGE))
    )
    return session.scalars(query.limit(1)).one_or_none()


def list_evaluations(
    session: Session,
    candidate_id: UUID,
    *,
    arena: str | None,
    purposes: Collection[Purpose],
    after: UUID | None,
    limit: int,
) -> list[Trained]:
    """In the order in which they were asked for, behind `after`; in all arenas unless one is named."""
    query = (
        select(Evaluation, Measurement)
        .outerjoin(Measurement, Measurement.id == Evaluation.measurement_id)
        .where(Evaluation.candidate_id == candidate_id)
        .order_by(Evaluation.id)
        .limit(limit)
    )
    if arena is not None:
        query = query.where(Evaluation.arena_id.in_(select(Arena.id).where(is_arena(arena))))
    if purposes:
        query = query.where(Evaluation.purpose.in_(purposes))
    if after is not None:
        where = (Evaluation.id == after, Evaluation.candidate_id == candidate_id)
        if session.scalar(select(Evaluation.id).where(*where)) is None:
            raise Unprocessable(f"after: this loss has no evaluation {after}; take the `next` of the page before.")
        query = query.where(Evaluation.id > after)
    found = session.execute(query).all()
    keys = {evaluation.arena_id for evaluation, _ in found}
    # An arena's calibration is larger than all that is said of an evaluation.
    arenas = select(Arena).where(Arena.id.in_(keys)).options(defer(Arena.calibration, raiseload=True))
    by_id = {each.id: each for each in session.scalars(arenas)}
    return [Trained(evaluation, by_id[evaluation.arena_id], measurement) for evaluation, measurement in found]

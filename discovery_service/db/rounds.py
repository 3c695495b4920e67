"""Reads rounds with all that came of them: proposals, exchanges, candidates, standings, evaluations."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from discovery_service.db.standings import read_standings
from discovery_service.db.tables import Arena, Campaign, Candidate, Evaluation, Exchange, Proposal, Round, Standing
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.states import Purpose
from discovery_service.errors import NotFound, Unprocessable

Row = TypeVar("Row", Exchange, Candidate)
# 50 KB a loss that nobody asks for here.
_LEFT_OUT = ("graph", "fingerprint", "passport", "check_vectors")
_PURPOSES = list(Purpose)


class MadeEvaluation(NamedTuple):
    row: Evaluation
    arena: str


@dataclass(frozen=True)
class MadeCandidate:
    """One that came of a proposal, with how it stands in the arena of the search."""

    row: Candidate
    screen: Standing | None
    confirm: Standing | None
    """Of the last whole confirmation, else of the last that was begun."""
    evaluations: Sequence[MadeEvaluation]
    """In every arena, that of the search first, in the order in which they are due."""


@dataclass(frozen=True)
class MadeProposal:
    row: Proposal
    made_in: Round
    exchanges: Sequence[Exchange] = ()
    candidates: Sequence[MadeCandidate] = ()


@dataclass(frozen=True)
class MadeRound:
    row: Round
    proposals: Sequence[MadeProposal] = field(default=())


def is_stopped(number: int, slot: int, stopped_slots: Collection[int] | None) -> bool:
    """By halving, what was made in this place; of the library nothing is, whatever a row says."""
    return number != LIBRARY_ROUND and slot in (stopped_slots or ())


def get_round(session: Session, round_id: UUID) -> Round:
    """NotFound also where its campaign was deleted."""
    query = select(Round).join(Campaign, Campaign.id == Round.campaign_id)
    found = session.scalar(query.where(Round.id == round_id, Campaign.deleted_at.is_(None)))
    if found is None:
        raise NotFound(f"There is no round {round_id}.")
    return found


def list_rounds(session: Session, campaign_id: UUID, *, after: UUID | None, limit: int) -> list[MadeRound]:
    """In the order of their numbers, behind `after`; with their proposals, and nothing of what came of those."""
    query = select(Round).where(Round.campaign_id == campaign_id).order_by(Round.number).limit(limit)
    if after is not None:
        where = (Round.id == after, Round.campaign_id == campaign_id)
        number = session.scalar(select(Round.number).where(*where))
        if number is None:
            raise Unprocessable(f"after: this campaign has no round {after}; take the `next` of the page before.")
        query = query.where(Round.number > number)
    rounds = {each.id: each for each in session.scalars(query)}
    proposals = defaultdict(list)
    asked = select(Proposal).where(Proposal.round_id.in_(rounds)).order_by(Proposal.slot)
    for proposal in session.scalars(asked):
        proposals[proposal.round_id].append(MadeProposal(proposal, rounds[proposal.round_id]))
    return [MadeRound(each, proposals[key]) for key, each in rounds.items()]


def read_round(session: Session, made: Round, arena_id: UUID) -> MadeRound:
    """With all that came of it."""
    proposals = session.scalars(select(Proposal).where(Proposal.round_id == made.id).order_by(Proposal.slot)).all()
    return MadeRound(made, _read(session, made, proposals, arena_id))


def read_proposal(session: Session, proposal_id: UUID, arena_id: UUID) -> MadeProposal:
    proposal = session.get_one(Proposal, proposal_id)
    [made] = _read(session, session.get_one(Round, proposal.round_id), [proposal], arena_id)
    return made


def get_round_of(session: Session, proposal_id: UUID) -> Round:
    """NotFound where there is no such proposal, or its campaign was deleted."""
    round_id = session.scalar(select(Proposal.round_id).where(Proposal.id == proposal_id))
    if round_id is None:
        raise NotFound(f"There is no proposal {proposal_id}.")
    return get_round(session, round_id)


def _read(session: Session, made: Round, proposals: Sequence[Proposal], arena_id: UUID) -> list[MadeProposal]:
    keys = [each.id for each in proposals]
    asked = select(Exchange).where(Exchange.proposal_id.in_(keys)).order_by(Exchange.turn)
    exchanges = _by_proposal(session.scalars(asked))
    left_out = [defer(getattr(Candidate, name)) for name in _LEFT_OUT]
    found = select(Candidate).where(Candidate.proposal_id.in_(keys)).order_by(Candidate.turn).options(*left_out)
    rows = session.scalars(found).all()
    standings = read_standings(session, [each.id for each in rows], Standing.arena_id == arena_id)
    evaluations = _read_evaluations(session, [each.id for each in rows], arena_id)
    candidates = defaultdict(list)
    for row in rows:
        screened, confirmed = (standings.get((row.id, stage)) for stage in (Purpose.SCREEN, Purpose.CONFIRM))
        candidates[row.proposal_id].append(MadeCandidate(row, screened, confirmed, evaluations[row.id]))
    return [MadeProposal(each, made, exchanges[each.id], candidates[each.id]) for each in proposals]


def _by_proposal(rows: Iterable[Row]) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.proposal_id].append(row)
    return found


def _read_evaluations(session: Session, keys: Sequence[UUID], arena_id: UUID) -> Mapping[UUID, list[MadeEvaluation]]:
    query = select(Evaluation, Arena.name).join(Arena, Arena.id == Evaluation.arena_id)
    rows = [MadeEvaluation(*row) for row in session.execute(query.where(Evaluation.candidate_id.in_(keys)))]
    found: Mapping[UUID, list[MadeEvaluation]] = defaultdict(list)
    for each in sorted(rows, key=lambda each: (each.row.arena_id != arena_id, each.arena, _place(each.row))):
        found[each.row.candidate_id].append(each)
    return found


def _place(row: Evaluation) -> tuple[object, ...]:
    """In its arena, whoever was faster. Draws are numbers, and those of a confirmation have its seal before them."""
    draw = (len(row.draw), row.draw)
    return _PURPOSES.index(row.purpose), row.setting_sha256, row.base_policy, draw, row.id

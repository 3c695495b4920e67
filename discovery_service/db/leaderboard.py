"""The leaderboard of a campaign in one arena: each accepted loss with how it stands, and what it has cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only

from discovery_service.db.tables import CUT, Candidate, Evaluation, Exchange, Proposal, Round, Standing
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.states import CandidateStatus, Purpose

WHO_ANSWERED = func.coalesce(Exchange.answered_by, Exchange.model)
"""By its own account; before there is one by its name in the spec, which says nothing outside of this service."""


@dataclass(frozen=True)
class Cost:
    """Of one candidate: its trainings in all arenas, and its whole proposal, refused turns included."""

    evaluations: int = 0
    device_seconds: float = 0.0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class BoardRow:
    candidate: Candidate
    round: int
    slot: int
    model: str | None
    """Who answered in the last exchange of its proposal."""
    screen: Standing | None
    confirm: Standing | None
    """Of the last freeze that it was in."""
    screen_policies: tuple[int, ...]
    confirm_policies: tuple[int, ...]
    cost: Cost
    is_cut: bool
    """A budget of time ended the search before it was screened."""
    is_stopped: bool
    """In the worse half of its round after the first trainings."""

    @property
    def counting(self) -> Standing | None:
        """By which it is ranked: what was confirmed, and where nothing was, what was screened."""
        for standing in (self.confirm, self.screen):
            if standing is not None and standing.lower is not None:
                return standing
        return None


def list_board(session: Session, campaign_id: UUID, arena_id: UUID) -> list[BoardRow]:
    """By lower bound, the confirmed ones before those that are only screened; last those without a difference."""
    query = (
        select(Candidate, Round, Proposal.id, Proposal.slot, func.coalesce(Proposal.outcome.has_key(CUT), False))
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id, Candidate.status == CandidateStatus.ACCEPTED)
        # Graph, fingerprint and check vectors are 50 KB a loss that nobody asks for here.
        .options(load_only(*(getattr(Candidate, name) for name in ("name", "author", "twin", "neighbours"))))
    )
    found = session.execute(query).all()
    stages = _read_standings(session, campaign_id, arena_id)
    policies = _read_policies(session, campaign_id, arena_id)
    trainings = _read_trainings(session, campaign_id)
    asked = _read_exchanges(session, campaign_id)
    rows = []
    for candidate, made_in, proposal_id, slot, is_cut in found:
        model, tokens, usd = asked.get(proposal_id, (None, 0, Decimal(0)))
        evaluations, seconds = trainings.get(candidate.id, (0, 0.0))
        rows.append(
            BoardRow(
                candidate,
                made_in.number,
                slot,
                model,
                stages.get((candidate.id, Purpose.SCREEN)),
                stages.get((candidate.id, Purpose.CONFIRM)),
                policies.get((candidate.id, Purpose.SCREEN), ()),
                policies.get((candidate.id, Purpose.CONFIRM), ()),
                Cost(evaluations, seconds, tokens, usd),
                is_cut=is_cut,
                is_stopped=made_in.number != LIBRARY_ROUND and slot in (made_in.stopped_slots or ()),
            )
        )
    return sorted(rows, key=_find_place)


def count_refused(session: Session, campaign_id: UUID) -> int:
    """Candidates that the gate did not let in; a corrected one was refused as often as it was corrected."""
    refused = (Candidate.campaign_id == campaign_id, Candidate.status == CandidateStatus.REJECTED)
    return session.scalars(select(func.count()).select_from(Candidate).where(*refused)).one()


def _find_place(row: BoardRow) -> tuple[bool, bool, float, int, int]:
    counting = row.counting
    lower = None if counting is None else counting.lower
    is_confirmed = counting is not None and counting is row.confirm
    return lower is None, not is_confirmed, -(lower or 0.0), row.round, row.slot


def _read_standings(session: Session, campaign_id: UUID, arena_id: UUID) -> dict[tuple[UUID, Purpose], Standing]:
    query = (
        select(Standing)
        .where(Standing.campaign_id == campaign_id, Standing.arena_id == arena_id)
        .order_by(Standing.extension)
    )
    return {(each.candidate_id, Purpose(each.stage)): each for each in session.scalars(query)}


def _read_policies(session: Session, campaign_id: UUID, arena_id: UUID) -> dict[tuple[UUID, Purpose], tuple[int, ...]]:
    """Under which each was trained, by stage."""
    query = (
        select(Evaluation.candidate_id, Evaluation.purpose, func.array_agg(Evaluation.base_policy.distinct()))
        .where(Evaluation.campaign_id == campaign_id, Evaluation.arena_id == arena_id)
        .where(Evaluation.measurement_id.is_not(None))
        .group_by(Evaluation.candidate_id, Evaluation.purpose)
    )
    return {(row[0], row[1]): tuple(sorted(row[2])) for row in session.execute(query)}


def _read_trainings(session: Session, campaign_id: UUID) -> dict[UUID, tuple[int, float]]:
    """Those that have ended: a reused one is charged as if it had been trained."""
    query = (
        select(Evaluation.candidate_id, func.count(), func.sum(Evaluation.device_seconds))
        .where(Evaluation.campaign_id == campaign_id, Evaluation.device_seconds.is_not(None))
        .group_by(Evaluation.candidate_id)
    )
    return {row[0]: (row[1], row[2] or 0.0) for row in session.execute(query)}


def _read_exchanges(session: Session, campaign_id: UUID) -> dict[UUID, tuple[str | None, int, Decimal]]:
    query = (
        select(Exchange.proposal_id, WHO_ANSWERED, Exchange.tokens_in, Exchange.tokens_out, Exchange.cost_usd)
        .join(Proposal, Proposal.id == Exchange.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id)
        .order_by(Exchange.proposal_id, Exchange.turn)
    )
    found: dict[UUID, tuple[str | None, int, Decimal]] = {}
    for proposal_id, model, tokens_in, tokens_out, usd in session.execute(query):
        before, tokens, spent = found.get(proposal_id, (None, 0, Decimal(0)))
        found[proposal_id] = (model or before, tokens + (tokens_in or 0) + (tokens_out or 0), spent + (usd or 0))
    return found


def list_known_as(candidate: Candidate) -> list[str]:
    """The known losses that it behaves like, in its campaign's library or outside of it."""
    known = (candidate.twin or {}).get("library")
    outside = [each["name"] for each in candidate.neighbours or () if each.get("is_outside")]
    return [known, *outside] if known else outside


def number_ranks(rows: Sequence[BoardRow]) -> list[int | None]:
    """Of rows in order; None where there is no difference to be ranked by."""
    return [None if row.counting is None else place for place, row in enumerate(rows, start=1)]

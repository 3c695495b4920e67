"""Opens rounds, lets them pass from one state to the next, closes them, and ends the search.

What a round sees, and whether it is begun, depends on closed rounds alone, so that it is the same whoever was faster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Campaign, CampaignProgress, Candidate, Proposal, Round, Standing
from discovery_service.domain.authors import Author
from discovery_service.domain.budget import Bound, Spend, count_slots, find_bounds
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.orders import Order
from discovery_service.domain.states import CandidateStatus, ProposalStatus, Purpose, RoundStatus
from discovery_service.domain.stopping import find_stop
from discovery_service.domain.token_costs import NOTHING
from discovery_service.engine.archive import read_archive
from discovery_service.engine.arenas import list_arenas_of
from discovery_service.engine.by_hand import begin_waiting, drop_waiting, list_waiting
from discovery_service.engine.campaigns import complete_campaign, count_closed, count_judged
from discovery_service.engine.dispatch import ring_task
from discovery_service.engine.entries import JUDGED, Field
from discovery_service.engine.events import record
from discovery_service.engine.library import find_shipped, list_library, open_library
from discovery_service.engine.proposals import IN_MOTION, write_exchange
from discovery_service.engine.questions import Asked, ask_slots
from discovery_service.engine.spending import (
    Ledger,
    count_library,
    count_trainings,
    keep_back,
    keep_back_for,
    read_ledger,
)
from discovery_service.engine.work import CANDIDATE

SETTLE_TASK = "gate.settle"
"""Twins among losses that were judged beside each other; only the gate's workers compare."""


def read_rounds(session: Session, campaign_id: UUID) -> dict[int, Round]:
    query = select(Round).where(Round.campaign_id == campaign_id).order_by(Round.number)
    return {each.number: each for each in session.scalars(query, execution_options={"populate_existing": True})}


def pass_on(session: Session, campaign: Campaign, *, rings: bool = True) -> None:
    """Rounds in which nobody is asked any more go to the barrier, and past it where nothing is to be compared.

    Not `rings`: what has just happened brings no round to its barrier, as the end of an evaluation does not. Else a
    round is rung for, and by the sweep's step again where that message was lost.
    """
    rounds = read_rounds(session, campaign.id)
    for number, each in rounds.items():
        if each.status is RoundStatus.PROPOSING and not _is_asked(session, each.id):
            set_status(session, each, RoundStatus.GATING)
        if each.status is not RoundStatus.GATING or not is_at_barrier(session, each, rounds.get(number - 1)):
            continue
        if number == LIBRARY_ROUND or not has_twins_to_settle(session, each):
            set_status(session, each, RoundStatus.EVALUATING)
        elif rings:
            ring_task(session, SETTLE_TASK, CANDIDATE.queue, each.id)


def set_status(session: Session, each: Round, status: RoundStatus, **facts: Any) -> None:
    each.status = status
    if status is RoundStatus.CLOSED:
        each.closed_at = func.now()
    record(session, each.campaign_id, f"round.{status}", each.id, number=each.number, **facts)
    session.flush()


def _is_asked(session: Session, round_id: UUID) -> bool:
    query = select(Proposal.id).where(Proposal.round_id == round_id, Proposal.status.in_(IN_MOTION)).limit(1)
    return session.scalar(query) is not None


def is_at_barrier(session: Session, each: Round, previous: Round | None) -> bool:
    """Whether all of its candidates are judged, and the round before it, whose losses it is compared with, is past."""
    if each.number != LIBRARY_ROUND and (previous is None or previous.status not in JUDGED):
        return False
    moving = (CandidateStatus.PROPOSED, CandidateStatus.GATING)
    query = (
        select(Candidate.id)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .where(Proposal.round_id == each.id, Candidate.status.in_(moving))
        .limit(1)
    )
    return session.scalar(query) is None


def list_compared(each: Round) -> list[int]:
    """The rounds whose losses a round's were not compared with at the gate: its own, and those it did not see."""
    return [number for number in range(LIBRARY_ROUND + 1, each.number + 1) if number not in each.snapshot_rounds]


def has_twins_to_settle(session: Session, each: Round) -> bool:
    """Whether a machine's loss, accepted in this round, stands beside another one."""
    query = (
        select(Round.number, Candidate.author)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(
            Round.campaign_id == each.campaign_id,
            Round.number.in_(list_compared(each)),
            Candidate.status == CandidateStatus.ACCEPTED,
        )
    )
    beside = session.execute(query).all()
    return len(beside) > 1 and any(row.number == each.number and row.author.is_machine for row in beside)


def close_rounds(session: Session, campaign_id: UUID, field: Field) -> None:
    """Those past the barrier whose losses have come as far as they will, with what the campaign's page says of it."""
    unsettled = {entry.round_id for entry in field.entries if not entry.is_settled}
    query = select(Round).where(Round.campaign_id == campaign_id, Round.status == RoundStatus.EVALUATING)
    closing = [each for each in session.scalars(query.order_by(Round.number)).all() if each.id not in unsettled]
    for each in closing:
        set_status(session, each, RoundStatus.CLOSED)
        if each.number == LIBRARY_ROUND and not field.has_reference:
            reference = REFERENCE_LOSSES[field.arena.family]
            told = f"{reference}, with which everything is compared, did not come through the screen."
            end_search(session, campaign_id, told)
    if closing:
        _write_progress(session, campaign_id, field.arena.id)


def _write_progress(session: Session, campaign_id: UUID, arena_id: UUID) -> None:
    values = {"rounds_closed": count_closed(campaign_id), "candidates": count_judged(campaign_id)}
    session.execute(
        update(CampaignProgress)
        .where(CampaignProgress.campaign_id == campaign_id)
        .values(**values, best=_find_best(session, campaign_id, arena_id))
        .execution_options(synchronize_session=False)
    )


def _find_best(session: Session, campaign_id: UUID, arena_id: UUID) -> dict[str, Any] | None:
    """So far, by the screen, of what was proposed and is no twin of a known loss; nothing is confirmed yet."""
    query = (
        select(Standing, Candidate.name, Candidate.author)
        .join(Candidate, Candidate.id == Standing.candidate_id)
        .where(
            Standing.campaign_id == campaign_id,
            Standing.arena_id == arena_id,
            Standing.stage == Purpose.SCREEN.value,
            Standing.lower.is_not(None),
            Candidate.author != Author.LIBRARY,
            Candidate.twin["library"].astext.is_(None),
        )
        .order_by(Standing.lower.desc(), Candidate.name)
        .limit(1)
    )
    found = session.execute(query).one_or_none()
    if found is None:
        return None
    standing, name, author = found
    difference = {"difference": standing.difference, "lower": standing.lower, "upper": standing.upper}
    named = {"candidate_id": str(standing.candidate_id), "name": name, "author": author.value}
    return {**named, **difference, "stage": Purpose.SCREEN.value, "verdict": None}


@dataclass(frozen=True)
class Opening:
    """The next round, as far as it is known before its questions are."""

    number: int
    arena: Arena
    ledger: Ledger
    kept: Spend
    waiting: Round | None
    """Its row, where a person has put something into it already."""
    proposed: Sequence[Proposal]
    """By people."""


class Decision(NamedTuple):
    """What comes of the next round if it sees so many of the closed ones."""

    stop: str | None
    """Why the search ends instead."""
    asked: Sequence[Asked] = ()
    """As many as the budgets have room for."""
    slots: int = 0
    """With what people have proposed."""


def open_next(session: Session, campaign: Campaign, spec: CampaignSpec) -> bool:
    """Open a round or end the search; whether either was done. The campaign is locked and runs."""
    if session.get_one(CampaignProgress, campaign.id, populate_existing=True).search_over_at is not None:
        return False
    every = read_rounds(session, campaign.id)
    rounds = {number: each for number, each in every.items() if each.status is not RoundStatus.QUEUED}
    if not rounds:
        return _begin(session, campaign, spec)
    number = max(rounds) + 1
    is_open = [each for each in rounds.values() if each.status is not RoundStatus.CLOSED]
    if LIBRARY_ROUND not in rounds or len(is_open) >= spec.strategy.max_open_rounds:
        return False
    first_seen = find_first_seen(spec, number)
    if not are_closed(rounds, first_seen):
        return False
    opening = prepare_opening(session, campaign, spec, number, every.get(number))
    for last_seen in range(first_seen, number):
        if not are_closed(rounds, last_seen):
            return False
        if _try_to_open(session, campaign, spec, opening, range(last_seen + 1)):
            return True
    end_search(session, campaign.id, _tell_bound(spec, opening))
    return True


def find_first_seen(spec: CampaignSpec, number: int) -> int:
    """The last of the rounds that this one sees, if it opens as early as it may."""
    return max(LIBRARY_ROUND, number - spec.strategy.max_open_rounds)


def prepare_opening(
    session: Session, campaign: Campaign, spec: CampaignSpec, number: int, waiting: Round | None
) -> Opening:
    arenas = list_arenas_of(session, campaign.id, spec)
    return Opening(
        number,
        arenas[0],
        read_ledger(session, campaign.id, spec, arenas[0]),
        keep_back_for(session, campaign.id, spec, arenas, campaign.extension),
        waiting,
        () if waiting is None else list_waiting(session, waiting),
    )


def are_closed(rounds: Mapping[int, Round], last: int) -> bool:
    return all(number in rounds and rounds[number].status is RoundStatus.CLOSED for number in range(last + 1))


def _begin(session: Session, campaign: Campaign, spec: CampaignSpec) -> bool:
    arena, *held_out = list_arenas_of(session, campaign.id, spec)
    shipped = find_shipped(spec, [arena, *held_out])
    trained = count_library(spec, arena, len(list_library(spec)), shipped=len(shipped[arena.content_sha256]))
    wanted = Spend(evaluations=trained) + keep_back(spec, arena, held_out, shipped)
    for bound in find_bounds(spec.budgets, wanted):
        why = f"Not even the library can be measured: {_tell(bound)} Give it more, or name fewer losses in its library."
        end_search(session, campaign.id, why)
        complete_campaign(session, campaign, why, None)
        return True
    open_library(session, campaign, spec, shipped)
    return True


def _try_to_open(session: Session, campaign: Campaign, spec: CampaignSpec, opening: Opening, seen: range) -> bool:
    """With as many slots as fit; the search ends where a stop rule says so. False where not one slot fits."""
    decision = decide(session, campaign.id, spec, opening, seen)
    if decision.stop is not None:
        end_search(session, campaign.id, decision.stop)
        return True
    if decision.slots:
        _open(session, campaign, opening, decision.asked, decision.slots, seen)
    return decision.slots > 0


def decide(
    session: Session,
    campaign_id: UUID,
    spec: CampaignSpec,
    opening: Opening,
    seen: range,
    *,
    rooms: Mapping[int, int] | None = None,
) -> Decision:
    """Nothing is written."""
    archive = read_archive(session, campaign_id, opening.arena.id, seen)
    why = find_stop(spec.budgets, archive)
    if why is not None:
        return Decision(why)
    ordered = Order.of(None if opening.waiting is None else opening.waiting.ordered).apply(spec)
    places = {"round_index": opening.number, "taken": len(opening.proposed)}
    asked = ask_slots(session, campaign_id, ordered, opening.arena, archive, rooms=rooms, **places)
    calls = [NOTHING] * len(opening.proposed) + [each.worst for each in asked]
    trainings = count_trainings(spec, opening.arena, len(calls))
    slots = [
        Spend(candidates=1, evaluations=count, tokens=call.tokens, cost_usd=call.cost_usd or Spend.cost_usd)
        for call, count in zip(calls, trainings, strict=True)
    ]
    fitting = count_slots(spec.budgets, opening.ledger.committed(seen) + opening.kept, slots)
    return Decision(None, [each for each in asked if each.slot < fitting], fitting)


def _open(
    session: Session, campaign: Campaign, opening: Opening, asked: Sequence[Asked], slots: int, seen: range
) -> None:
    made = opening.waiting or Round(campaign_id=campaign.id, number=opening.number)
    made.status, made.snapshot_rounds = RoundStatus.PROPOSING, list(seen)
    session.add(made)
    session.flush()
    record(session, campaign.id, "round.opened", made.id, number=made.number, proposals=slots, sees=list(seen))
    begin_waiting(session, campaign, opening.proposed, slots)
    for each in asked:
        proposal = Proposal(
            round_id=made.id,
            slot=each.slot,
            proposer=each.whom.author.value,
            status=ProposalStatus.ASKING,
            request=each.request.document(),
        )
        session.add(proposal)
        session.flush()
        write_exchange(
            session,
            campaign,
            proposal,
            turn=0,
            model=each.whom.model,
            messages=each.messages,
            prompt_version=each.prompt_version,
            worst=each.worst,
            room=each.room,
        )


def end_search(session: Session, campaign_id: UUID, why: str) -> None:
    """Nobody proposes any more. What is proposed already is still judged and measured."""
    session.execute(
        update(CampaignProgress)
        .where(CampaignProgress.campaign_id == campaign_id)
        .values(search_over_at=func.now())
        .execution_options(synchronize_session=False)
    )
    record(session, campaign_id, "search.over", campaign_id, reason=why)
    for each in read_rounds(session, campaign_id).values():
        if each.status is RoundStatus.QUEUED:
            drop_waiting(session, each, why)
            set_status(session, each, RoundStatus.CLOSED)
    session.flush()


def _tell_bound(spec: CampaignSpec, opening: Opening) -> str:
    spent = opening.ledger.committed(range(opening.number)) + opening.kept
    slot = Spend(candidates=1, evaluations=count_trainings(spec, opening.arena, 1)[0])
    bounds = [_tell(each) for each in find_bounds(spec.budgets, spent + slot)]
    told = bounds[0] if bounds else "tokens or dollars: what one more question may cost is more than is left."
    return f"The budget has no room for another proposal: {told}"


def _tell(bound: Bound) -> str:
    """Of evaluations alone something is kept back."""
    if bound.name == "candidates":
        return f"candidates are used up, with {bound.wanted - 1:g} of {bound.limit:g}."
    kept = "with what is kept back for the end " if bound.name == "evaluations" else ""
    return f"{bound.name} are limited to {bound.limit:g}, and {kept}{bound.wanted:g} would be needed."

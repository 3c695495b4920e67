"""A question on its way: what whoever asks it has to know, what it is charged, and what becomes of it.

Its worst case is charged with the claim and replaced by what it came to: a worker that is lost in the middle of a call
leaves behind what the endpoint may have charged.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, Exchange, Proposal, Round
from discovery_service.domain.archive import Archive
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.requests import Request
from discovery_service.domain.states import ExchangeStatus
from discovery_service.domain.token_costs import NOTHING, Message, Spent
from discovery_service.engine.archive import read_archive
from discovery_service.engine.arenas import get_arena_of
from discovery_service.engine.campaigns import lock_campaigns, pause_for
from discovery_service.engine.charges import write_charges
from discovery_service.engine.claim import Claim, claim, finish
from discovery_service.engine.events import record
from discovery_service.engine.proposals import IN_MOTION, NOT_AFFORDED
from discovery_service.engine.spending import can_afford
from discovery_service.engine.work import EXCHANGE
from discovery_service.search.ask import show

MOST_ATTEMPTS = 5
"""After each it is left alone for a while, and each has tried for about a minute itself."""

ASKED_AGAIN_AFTER = timedelta(minutes=1)
"""Where an endpoint does not say when. A message that is under way already does not shorten it."""

LONGEST_DEFERRAL = timedelta(hours=1)
"""That an endpoint may ask for; whoever wants more time than that needs a person to look."""


@dataclass(frozen=True)
class Posed:
    """A question under its claim."""

    held: Claim
    spec: CampaignSpec
    author: Author
    model: str | None
    messages: list[Message]
    prompt_version: str | None
    request: Request
    round_index: int
    slot: int
    turn: int
    snapshot: tuple[int, ...]
    proposals_before: int
    """Of the same proposer, in the order of rounds and slots."""
    deferrals: int
    """Earlier attempts that do not count: the endpoint put them off, or nobody was asked in the end."""
    before: Spent
    """What earlier attempts were charged."""
    reserved: Spent
    """For this attempt, by whoever wrote the question."""


def find_profile(session: Session, exchange_id: UUID) -> str | None:
    """By which name a language model is to be asked, before anybody claims the question; None where none is."""
    return session.scalar(select(Exchange.model).where(Exchange.id == exchange_id))


def pose(session: Session, exchange_id: UUID, worker_id: UUID) -> Posed | None:
    """Claim it and charge its worst case. None is normal: another worker was faster, or the campaign does not run, or
    its budget has no room for another attempt."""
    # Before the claim, which holds the campaign in common with others': two that then fail would wait for each other.
    campaign_id = session.scalar(select(Exchange.campaign_id).where(Exchange.id == exchange_id))
    if campaign_id is None:
        return None
    lock_campaigns(session, [campaign_id])
    held = claim(session, EXCHANGE, exchange_id, worker_id)
    if held is None:
        return None
    query = (
        select(Exchange, Proposal, Round, Campaign.spec)
        .join(Proposal, Proposal.id == Exchange.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .join(Campaign, Campaign.id == Exchange.campaign_id)
        .where(Exchange.id == exchange_id)
    )
    rows = session.execute(query, execution_options={"populate_existing": True})
    exchange, proposal, made_in, spec = rows.one()
    before = Spent(exchange.tokens_in or 0, exchange.tokens_out or 0, exchange.cost_usd or Decimal(0))
    exchange.tokens_out = before.tokens_out + (exchange.reserved_tokens or 0)
    exchange.cost_usd = (before.cost_usd or 0) + (exchange.reserved_usd or 0)
    session.flush()
    posed = Posed(
        held=held,
        spec=CampaignSpec.model_validate(spec),
        author=Author(proposal.proposer),
        model=exchange.model,
        messages=exchange.messages,
        prompt_version=exchange.prompt_version,
        request=Request.of(proposal.request),
        round_index=made_in.number,
        slot=proposal.slot,
        turn=exchange.turn,
        snapshot=tuple(made_in.snapshot_rounds),
        proposals_before=_count_before(session, made_in, proposal),
        deferrals=exchange.deferrals,
        before=before,
        reserved=Spent(tokens_out=exchange.reserved_tokens or 0, cost_usd=exchange.reserved_usd or Decimal(0)),
    )
    # A worker that was lost in the middle of a call has left behind what that may have cost.
    if exchange.reserved_tokens and not can_afford(session, held.campaign_id, posed.spec.budgets, NOTHING):
        fail(session, posed, NOT_AFFORDED)
        return None
    return posed


def _count_before(session: Session, made_in: Round, proposal: Proposal) -> int:
    earlier = (Round.number < made_in.number) | ((Round.number == made_in.number) & (Proposal.slot < proposal.slot))
    query = select(func.count(Proposal.id)).join(Round, Round.id == Proposal.round_id)
    query = query.where(Round.campaign_id == made_in.campaign_id, Proposal.proposer == proposal.proposer, earlier)
    return session.scalar(query) or 0


def reserve(session: Session, posed: Posed, worst: Spent) -> bool:
    """Before the call, as who makes it knows its worst case: a worker with other settings may have written the
    question, or its model's have changed since. False: the budget has no room for it and the question has failed, or
    the lease was lost."""
    reserved, cost = posed.reserved, worst.cost_usd or Decimal(0)
    more = Spent(tokens_out=worst.tokens - reserved.tokens, cost_usd=cost - (reserved.cost_usd or 0))
    if more.tokens <= 0 and (more.cost_usd or 0) <= 0:
        return True
    # Of two that find room for one the second sees what the first has taken.
    lock_campaigns(session, [posed.held.campaign_id])
    if not can_afford(session, posed.held.campaign_id, posed.spec.budgets, more):
        why = (
            f"{NOT_AFFORDED['message']} Who asks {posed.model} knows that it takes up to {worst.tokens} tokens and"
            f" {cost:f} dollars; who wrote the question reserved {reserved.tokens} and {reserved.cost_usd or 0:f}: give"
            " all workers the same profile (docs/models.md)."
        )
        fail(session, posed, {**NOT_AFFORDED, "message": why})
        return False
    values = {"reserved_tokens": worst.tokens, "reserved_usd": worst.cost_usd, **_columns(posed, worst)}
    return _write(session, posed, values)


def read_shown(session: Session, posed: Posed) -> Archive:
    """What a proposer sees that reads no prompt."""
    arena = get_arena_of(session, posed.held.campaign_id, posed.spec.arena)
    archive = read_archive(session, posed.held.campaign_id, arena.id, posed.snapshot)
    return show(posed.spec.strategy.name, archive)


def answer(session: Session, posed: Posed, reply: str, spent: Spent = NOTHING, *, model: str | None = None) -> bool:
    """False: the lease was lost meanwhile. `model` is who answered, by its own account."""
    told = {"model": model} if model else {}
    return _end(session, posed, ExchangeStatus.ANSWERED, spent, told=told, reply=reply, answered_by=model)


def fail(session: Session, posed: Posed, failure: dict[str, str], spent: Spent = NOTHING) -> bool:
    """This question is not answered, others may be."""
    return _end(session, posed, ExchangeStatus.FAILED, spent, told=failure, failure=failure)


def cancel(session: Session, posed: Posed, spent: Spent = NOTHING) -> bool:
    return _end(session, posed, ExchangeStatus.CANCELLED, spent)


def put_back(
    session: Session,
    posed: Posed,
    failure: dict[str, str],
    spent: Spent = NOTHING,
    *,
    wait: timedelta | None = None,
    counts: bool = True,
) -> bool:
    """It waits again, for so long at least; whether the attempt `counts` as one of the most that it has. Without the
    means for another call it fails; it ends with its proposal, and with a campaign that was cancelled meanwhile."""
    # Before the row, here and in `cancel_campaign`; or the two could wait for each other.
    lock_campaigns(session, [posed.held.campaign_id])
    if not _is_awaited(session, posed):
        return cancel(session, posed, spent)
    _charge(session, posed, spent, is_asked_again=True)
    if not can_afford(session, posed.held.campaign_id, posed.spec.budgets, NOTHING):
        return fail(session, posed, {**failure, "not_asked_again": NOT_AFFORDED["message"]}, spent)
    told: dict[str, Any] = {"code": failure["code"], "message": failure["message"]}
    values: dict[str, Any] = {"rung_at": func.now(), "not_before": None}
    if wait is not None:
        told["again_after_s"] = wait.total_seconds()
        values["not_before"] = func.now() + wait
    if not counts:
        values["deferrals"] = posed.deferrals + 1
    return _end(session, posed, ExchangeStatus.QUEUED, spent, told=told, **values)


def _is_awaited(session: Session, posed: Posed) -> bool:
    """Nobody reads the answer to one whose search was cut while it was asked."""
    asked = select(Proposal.status).join(Exchange, Exchange.proposal_id == Proposal.id)
    return session.scalar(asked.where(Exchange.id == posed.held.id)) in IN_MOTION


def count_attempts(posed: Posed) -> int:
    """With this one, without those that do not count."""
    return posed.held.attempt - posed.deferrals


def put_back_and_pause(
    session: Session, posed: Posed, failure: dict[str, str], spent: Spent = NOTHING, *, counts: bool = True
) -> bool:
    """Nothing is answered until a person mends what the failure says."""
    is_ours = put_back(session, posed, failure, spent, counts=counts)
    if is_ours:
        pause_for(session, posed.held.campaign_id, failure["message"])
    return is_ours


def _end(session: Session, posed: Posed, status: ExchangeStatus, spent: Spent, **values: Any) -> bool:
    is_ours = finish(session, posed.held, status, **_columns(posed, spent), **values)
    if is_ours:
        _tell_overrun(session, posed, spent)
        write_charges(session, posed.held.campaign_id)
    return is_ours


def _tell_overrun(session: Session, posed: Posed, spent: Spent) -> None:
    """An endpoint may charge more than it was limited to, for what the model thought or for its own view of a prompt.
    It is counted as it was charged, so that no later call finds room that is not there."""
    query = select(Exchange.reserved_tokens, Exchange.reserved_usd).where(Exchange.id == posed.held.id)
    tokens, cost = session.execute(query).one()
    if spent.tokens <= (tokens or 0) and (spent.cost_usd or 0) <= (cost or 0):
        return
    record(
        session,
        posed.held.campaign_id,
        "exchange.overrun",
        posed.held.id,
        attempt=posed.held.attempt,
        reserved=_show_cost(tokens or 0, cost),
        charged=_show_cost(spent.tokens, spent.cost_usd),
        message=f"The endpoint of {posed.model} charged more than it was limited to; further calls have the less room.",
    )


def _show_cost(tokens: int, cost: Decimal | None) -> dict[str, float | None]:
    return {"tokens": tokens, "cost_usd": None if cost is None else float(cost)}


def _charge(session: Session, posed: Posed, spent: Spent, *, is_asked_again: bool) -> None:
    """As it would stand with another call of the same worst case before it."""
    columns = _columns(posed, spent)
    if is_asked_again:
        columns["tokens_out"] += func.coalesce(Exchange.reserved_tokens, 0)
        columns["cost_usd"] = (columns["cost_usd"] or 0) + func.coalesce(Exchange.reserved_usd, 0)
    _write(session, posed, columns)


def _write(session: Session, posed: Posed, values: dict[str, Any]) -> bool:
    """False: the lease was lost."""
    held = posed.held
    written = session.execute(
        update(Exchange)
        .where(Exchange.id == held.id, Exchange.attempt == held.attempt, Exchange.status == held.kind.held)
        .values(**values)
        .returning(Exchange.id)
        .execution_options(synchronize_session=False)
    )
    return written.one_or_none() is not None


def _columns(posed: Posed, spent: Spent) -> dict[str, Any]:
    before = posed.before
    cost = None if spent.cost_usd is None or before.cost_usd is None else before.cost_usd + spent.cost_usd
    return {
        "tokens_in": before.tokens_in + spent.tokens_in,
        "tokens_out": before.tokens_out + spent.tokens_out,
        "cost_usd": cost,
    }

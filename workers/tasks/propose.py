"""The propose task: one question from its claim to a reply, by a model, a recording or the symbolic proposer."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import structlog
from celery import shared_task
from sqlalchemy.orm import Session

from discovery_service.domain.authors import Author
from discovery_service.domain.token_costs import NOTHING, Spent
from discovery_service.engine.claim import crash, hand_on
from discovery_service.engine.exchanges import (
    ASKED_AGAIN_AFTER,
    LONGEST_DEFERRAL,
    MOST_ATTEMPTS,
    Posed,
    answer,
    cancel,
    count_attempts,
    fail,
    find_profile,
    pose,
    put_back,
    put_back_and_pause,
    read_shown,
    reserve,
)
from discovery_service.engine.heartbeat import Heartbeat, heartbeat
from discovery_service.engine.questions import find_schema
from discovery_service.engine.work import EXCHANGE
from discovery_service.errors import UsageError
from discovery_service.settings import get_openai_settings, get_settings
from workers.fleet import find_worker_id
from workers.llm.asking import LONGEST_WAIT_S, Question, worst_case
from workers.llm.asking import ask as ask_model
from workers.llm.models import Model, find_model, find_recorded
from workers.llm.outcomes import Consequence, Failure, FaultCode, Outcome, Reply
from workers.llm.recordings import metadata_of
from workers.llm.turns import Turns
from workers.process import get_sessions, task_unit
from workers.settling import settle
from workers.steps import take_step
from workers.symbolic.propose import NothingNew, propose, write_reply

log = structlog.get_logger(__name__)

_turns = Turns()
_FAR_S = 1e9
"""An endpoint may say any number, and dates end."""


@shared_task(name=EXCHANGE.task)
def ask(exchange_id: str) -> None:
    worker_id = find_worker_id()
    if worker_id is not None:
        ask_as(worker_id, UUID(exchange_id))


def ask_as(worker_id: UUID, exchange_id: UUID) -> None:
    with _turn(exchange_id) as is_ours:
        campaign_id = _ask(worker_id, exchange_id) if is_ours else None
    if campaign_id is not None:
        take_step(campaign_id)


@contextmanager
def _turn(exchange_id: UUID) -> Iterator[bool]:
    """At the model that is to be asked. False: there is none just now, and the question is rung for when there is."""
    with task_unit() as session:
        name = find_profile(session, exchange_id) or ""
    profiles = get_settings().llm.profiles
    if name not in profiles:  # as many as there are threads
        yield True
    elif not _turns.take(name, profiles[name].concurrency, exchange_id):
        yield False
    else:
        try:
            yield True
        finally:
            waiting = _turns.give_back(name)
            with task_unit() as session:
                for each in waiting:
                    hand_on(session, EXCHANGE, each)


def _ask(worker_id: UUID, exchange_id: UUID) -> UUID | None:
    """Of which campaign the question was; None where somebody else has it, or nobody may."""
    with task_unit() as session:
        posed = pose(session, exchange_id, worker_id)
    if posed is None:
        return None
    try:
        with heartbeat(get_sessions(), posed.held) as beating:
            _exchange(posed, beating)
    except Exception as error:
        # Whatever it is, it is no fault of who was asked, and as an attempt that counts it does not come for ever.
        log.exception("propose.failed", exchange=str(exchange_id))
        with task_unit() as session:
            crash(session, posed.held, f"the exchange failed: {type(error).__name__}: {error}")
    return posed.held.campaign_id


def _exchange(posed: Posed, beating: Heartbeat) -> None:
    if posed.author is Author.SYMBOLIC:
        _draw(posed)
        return
    model = _find_model(posed)
    if isinstance(model, Failure):
        outcome: Outcome = model
    else:
        question = _question(posed)
        if not _reserve(posed, model, question):
            return
        outcome = ask_model(model, question, beating.stop, beating.hold)
    settle(beating, lambda session: _write(session, posed, outcome))


def _draw(posed: Posed) -> None:
    with task_unit() as session:
        archive = read_shown(session, posed)
    place = {"seed": posed.spec.seed, "round_index": posed.round_index, "slot": posed.slot, "turn": posed.turn}
    try:
        reply = write_reply(propose(posed.request, archive, posed.spec.family, **place))
    except NothingNew as error:
        with task_unit() as session:
            fail(session, posed, {"code": "nothing_new", "message": str(error)})
        return
    with task_unit() as session:
        answer(session, posed, reply)


def _find_model(posed: Posed) -> Model | Failure:
    llm = get_settings().llm
    if posed.author is Author.RECORDED:
        return find_recorded(posed.spec.arena, llm)
    name = posed.model or llm.model
    try:
        model = find_model(name, llm, get_openai_settings())
    except UsageError as error:
        message = f"{error} Mend it where the propose workers run, start them again and resume."
        return Failure(FaultCode.UNUSABLE_SETTINGS, Consequence.PAUSE, message)
    if isinstance(model, Model) and model.price is None and posed.spec.budgets.cost_usd is not None:
        message = (
            f"A propose worker does not know the price of {name}, without which the budget in dollars cannot be held:"
            " set INPUT_USD_PER_MILLION and OUTPUT_USD_PER_MILLION in its profile (docs/models.md) for all workers,"
            " start them again and resume; or take the budget away."
        )
        return Failure(FaultCode.NO_PRICE, Consequence.PAUSE, message)
    return model


def _reserve(posed: Posed, model: Model, question: Question) -> bool:
    if posed.author is Author.RECORDED:
        return True
    with task_unit() as session:
        return reserve(session, posed, worst_case(model, question))


def _question(posed: Posed) -> Question:
    is_recorded = posed.author is Author.RECORDED
    return Question(
        posed.messages,
        find_schema(posed.prompt_version) if posed.prompt_version else None,
        metadata_of(posed.proposals_before, posed.turn) if is_recorded else {},
    )


def _write(session: Session, posed: Posed, outcome: Outcome) -> None:
    # Whatever became of a recording, no model has worked.
    spent = outcome.spent if posed.author is Author.LLM else NOTHING
    if isinstance(outcome, Reply):
        answer(session, posed, outcome.text, spent, model=outcome.model)
        return
    failure = dict(outcome.document())
    match outcome.consequence:
        case Consequence.GIVE_UP:
            fail(session, posed, failure, spent)
        case Consequence.CANCELLED:
            cancel(session, posed, spent)
        case Consequence.HOLD:
            put_back(session, posed, failure, spent, counts=False)
        case Consequence.RETRY:
            _ask_later(session, posed, outcome, failure, spent)
        case Consequence.PAUSE:
            put_back_and_pause(session, posed, failure, spent, counts=False)


def _ask_later(session: Session, posed: Posed, outcome: Failure, failure: dict[str, str], spent: Spent) -> None:
    """A minute later, or when the endpoint has said; not by itself once it was asked often, or wants very long."""
    wait = timedelta(seconds=min(outcome.retry_after_s or 0.0, _FAR_S))
    if wait > LONGEST_DEFERRAL:
        why = f"It is to be asked again in {wait.total_seconds() / 3600:.1f} hours; resume then. {failure['message']}"
        put_back_and_pause(session, posed, {**failure, "message": why}, spent)
        return
    is_put_off = wait.total_seconds() > LONGEST_WAIT_S and spent == NOTHING
    if is_put_off or count_attempts(posed) % MOST_ATTEMPTS:
        put_back(session, posed, failure, spent, wait=max(wait, ASKED_AGAIN_AFTER), counts=not is_put_off)
        return
    tried = f"It was asked {MOST_ATTEMPTS} times, a minute or more apart; resume to try again. {failure['message']}"
    put_back_and_pause(session, posed, {**failure, "message": tried}, spent)

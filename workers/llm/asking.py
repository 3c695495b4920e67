"""Asks a language model and says what came of it. Whatever the endpoint does, it is a Reply or a Failure, in bounds.

Covered: retries with back-off while they are free, a deadline for the whole answer, a bound on its size, cancellation.
Not covered: how many ask at once, and what a campaign may spend. Who asks reserves `worst_case` before each call of
`ask`, which therefore never asks again once an endpoint may have charged for an answer that did not come.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from discovery_service.domain import token_costs
from discovery_service.domain.token_costs import NOTHING, Message, Spent
from workers.llm import faults
from workers.llm.answers import read_answer
from workers.llm.background import run_until
from workers.llm.dialect import find_dialect, remember_dialect
from workers.llm.models import Model
from workers.llm.outcomes import Consequence, Failure, Outcome

ATTEMPTS = 4
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
# A reply of 100,000 tokens is half a megabyte; what some endpoints tell of the model's thoughts is as long again.
MAX_BODY_BYTES = 8 << 20
# With these an endpoint may say that it does not know a part of the request.
_REFUSALS = {400, 404, 422, 501}


@dataclass(frozen=True)
class Question:
    messages: Sequence[Message]
    schema: Mapping[str, Any] | None = None
    """Of the reply, as JSON Schema."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Only for the endpoint of recorded replies: which of them is meant. Others refuse it."""


def worst_case(model: Model, question: Question) -> Spent:
    """What one call can cost at most: to be reserved before it."""
    return token_costs.worst_case(question.messages, question.schema, model.options.max_tokens, model.price)


def ask(model: Model, question: Question, cancelled: threading.Event, held: threading.Event | None = None) -> Outcome:
    """Wait for the reply. What ends as RETRY was tried again for as long as that was free and soon.

    `held` is set where `cancelled` is, and also where no other call may begin while one that has begun may end.
    """
    held = cancelled if held is None else held
    for attempt in range(ATTEMPTS):
        if held.is_set():
            break
        outcome = _ask_once(model, question, cancelled)
        wait_s = _wait_before_next(outcome, attempt)
        if wait_s is None:
            return outcome
        held.wait(wait_s)
    return faults.cancelled(NOTHING) if cancelled.is_set() else faults.held_back()


def _wait_before_next(outcome: Outcome, attempt: int) -> float | None:
    """None when the outcome stands."""
    if not isinstance(outcome, Failure) or outcome.consequence is not Consequence.RETRY:
        return None
    is_free = outcome.spent == NOTHING
    backoff_s = FIRST_WAIT_S * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - so that not all come back at once
    wait_s = max(backoff_s, outcome.retry_after_s or 0.0)
    return wait_s if is_free and attempt < ATTEMPTS - 1 and wait_s <= LONGEST_WAIT_S else None


def _ask_once(model: Model, question: Question, cancelled: threading.Event) -> Outcome:
    worst = worst_case(model, question)
    outcome = run_until(_converse(model, question, worst), cancelled)
    return faults.cancelled(worst) if outcome is None else outcome


async def _converse(model: Model, question: Question, worst: Spent) -> Outcome:
    try:
        async with asyncio.timeout(model.options.timeout_s), _open(model) as client:
            body = await _ask_in_a_dialect_that_it_takes(client, model, question)
    except TimeoutError:
        return faults.timed_out(model, worst)
    except AnswerTooLarge:
        return faults.too_large(model, worst)
    except APIConnectionError as error:
        return faults.of_connection(error, model, worst)
    except APIStatusError as error:
        return faults.of_status(error, model, worst)
    return read_answer(body, model, worst)


async def _ask_in_a_dialect_that_it_takes(client: AsyncOpenAI, model: Model, question: Question) -> bytes:
    """The body of the answer. What the endpoint refuses of the request is left away, once and for this process."""
    dialect = find_dialect(model)
    while True:
        try:
            answer = await client.chat.completions.with_raw_response.create(
                **_request(model, question), **dialect.arguments(question.schema, model.options.max_tokens)
            )
        except APIStatusError as error:
            # Of what is too long some speak of "max_completion_tokens" too.
            is_about_request = error.status_code in _REFUSALS and not faults.is_too_long(error, model)
            complaint = faults.complaint_of(error) if is_about_request else ""
            simpler = dialect.after_refusal(complaint, asked_schema=question.schema is not None)
            if simpler is None:
                raise
            dialect = simpler
        else:
            remember_dialect(model, dialect)
            return answer.content


def _request(model: Model, question: Question) -> dict[str, Any]:
    request: dict[str, Any] = {"model": model.name, "messages": list(question.messages)}
    if model.options.temperature is not None:
        request["temperature"] = model.options.temperature
    if question.metadata:
        request["metadata"] = dict(question.metadata)
    return request


def _open(model: Model) -> AsyncOpenAI:
    """A client for one call: nothing outlives it, and no connection is found dead by the next."""
    timeout = httpx2.Timeout(model.options.timeout_s, connect=CONNECT_TIMEOUT_S)
    http = httpx2.AsyncClient(
        timeout=timeout,
        trust_env=not model.is_local,
        # A question goes to the host that was named, or nowhere.
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
    )
    return AsyncOpenAI(
        api_key=model.api_key.get_secret_value(),
        base_url=model.base_url,
        timeout=timeout,
        max_retries=0,  # ours are counted
        http_client=http,
    )


class AnswerTooLarge(Exception):
    """More bytes than any reply has, or packed ones that could become as many."""


async def _bound(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise AnswerTooLarge
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise AnswerTooLarge
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()

"""What each way in which a call can fail means: whose fault it is, what to do next, and what it may have cost."""

import email.utils
import json
import math
import re
import time
from typing import Any

import httpx2
from openai import APIConnectionError, APIStatusError

from discovery_service.domain.token_costs import NOTHING, Spent
from workers.llm.models import Model
from workers.llm.outcomes import Consequence, Failure, FaultCode

MAX_QUOTED = 300
_UNSTORABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# Not "billing" or "quota" alone: what limits the calls in a minute speaks of those too.
_QUOTA = re.compile(r"insufficient|credit balance|out of credits|hard limit", re.IGNORECASE)
_FILTER = re.compile(r"content.?filter|content.?policy|moderation|flagged", re.IGNORECASE)
_MAY_BE_FILTERED = {400, 403, 422}
# Codes of OpenAI and llama.cpp, and what these, vLLM, Ollama and llama-cpp-python say of a prompt that is too long.
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size_error"
    r"|maximum context length is \d|longer than the maximum model length|fit into the model \(context length"
    r"|max_tokens must be at least 1, got -|exceeds? the available context size|exceed context window"
    r"|input length exceeds (?:the |maximum )*context length|prompt (?:is )?too long",
    re.IGNORECASE,
)
_CONTEXT_TOLD = re.compile(r"maximum context length is (\d+)", re.IGNORECASE)
# llama.cpp and Ollama have told it as a fault of their own.
_MAY_BE_TOO_LONG = {400, 413, 422, 500}
# What lies before the endpoint gave up waiting; the model behind it may have worked all the while.
_GATEWAY_TIMEOUTS = {408, 504, 524}
_NEVER_ARRIVED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


def of_connection(error: APIConnectionError, model: Model, worst: Spent) -> Failure:
    """The endpoint was not there, or went away with the question."""
    cause = error.__cause__
    if isinstance(cause, _NEVER_ARRIVED):
        said = f": {quote(str(cause), model)}" if str(cause) else ""
        message = f"{model.base_url} cannot be reached{said}. It is down, or its URL is wrong."
        return Failure(FaultCode.UNREACHABLE, Consequence.RETRY, message)
    if isinstance(cause, httpx2.TimeoutException):
        return timed_out(model, worst)
    message = f"{model.base_url} cut the connection before its answer was through."
    return Failure(FaultCode.CUT, Consequence.RETRY, message, spent=worst)


def timed_out(model: Model, worst: Spent) -> Failure:
    message = (
        f"{model.name} did not answer within {model.options.timeout_s:g} s. Where that is common, give its profile a "
        "larger timeout_s or a smaller max_tokens."
    )
    return Failure(FaultCode.TIMEOUT, Consequence.RETRY, message, spent=worst)


def too_large(model: Model, worst: Spent) -> Failure:
    message = f"The answer of {model.base_url} was longer than any reply, or packed unasked: the endpoint is broken."
    return Failure(FaultCode.TOO_LARGE, Consequence.RETRY, message, spent=worst)


def malformed(model: Model, worst: Spent, what: str) -> Failure:
    message = (
        f"The answer of {model.base_url} is no chat completion ({what}). Is it the base URL of an OpenAI-like API?"
    )
    return Failure(FaultCode.MALFORMED, Consequence.RETRY, message, spent=worst)


def cancelled(worst: Spent) -> Failure:
    return Failure(FaultCode.CANCELLED, Consequence.CANCELLED, "The question was withdrawn.", spent=worst)


def held_back() -> Failure:
    message = "The campaign was paused before the endpoint was asked again; it is asked once the campaign goes on."
    return Failure(FaultCode.PAUSED, Consequence.HOLD, message)


def of_status(error: APIStatusError, model: Model, worst: Spent) -> Failure:
    """The endpoint answered with an error."""
    status, complaint = error.status_code, complaint_of(error)
    said = quote(_message_of(error.body), model)
    if status in _MAY_BE_FILTERED and _FILTER.search(complaint):
        return Failure(FaultCode.FILTERED, Consequence.GIVE_UP, f"A filter of {model.base_url} refused it{said}.")
    if is_too_long(error, model):
        message = (
            f"The prompt is too long for {model.name} at {model.base_url}{said}. Give its profile the context_tokens"
            " that the endpoint takes, and prompts are cut to them (docs/models.md)."
        )
        return Failure(FaultCode.TOO_LONG, Consequence.GIVE_UP, message)
    if status in (401, 403):
        message = f"{model.base_url} does not take the key for {model.name}{said}. Set another one (docs/models.md)."
        return Failure(FaultCode.UNAUTHORIZED, Consequence.PAUSE, message)
    if status == 402 or (status == 429 and _QUOTA.search(complaint)):
        message = f"The account at {model.base_url} has no credit or quota left{said}. Add some, then resume."
        return Failure(FaultCode.QUOTA, Consequence.PAUSE, message)
    if error.code == FaultCode.NOT_RECORDED:
        return Failure(FaultCode.NOT_RECORDED, Consequence.GIVE_UP, f"{model.name} has no such reply{said}.")
    if status in (404, 410):
        message = f"{model.base_url} knows no {model.name}{said}. Mend the model's name or the base URL."
        return Failure(FaultCode.NOT_FOUND, Consequence.PAUSE, message)
    if status == 429:
        return _later(FaultCode.RATE_LIMITED, error, f"{model.base_url} wants fewer calls in a minute{said}.", NOTHING)
    if status in (408, 409) or status >= 500:
        message = f"{model.base_url} failed with status {status}{said}. The fault is its own; it is asked again."
        return _later(FaultCode.OVERLOADED, error, message, worst if status in _GATEWAY_TIMEOUTS else NOTHING)
    message = f"{model.base_url} refuses the request with status {status}{said}. Mend the model's profile."
    return Failure(FaultCode.BAD_REQUEST, Consequence.PAUSE, message)


def is_too_long(error: APIStatusError, model: Model) -> bool:
    """Whether another prompt may fit where this one did not: not where the longest reply alone fills the context."""
    if error.status_code not in _MAY_BE_TOO_LONG:
        return False
    complaint = complaint_of(error)
    told = _CONTEXT_TOLD.search(complaint)
    if told and int(told[1]) <= model.options.max_tokens:
        return False
    return error.status_code == 413 or _TOO_LONG.search(complaint) is not None


def _later(code: FaultCode, error: APIStatusError, message: str, spent: Spent) -> Failure:
    return Failure(code, Consequence.RETRY, message, _retry_after(error.response.headers), spent)


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds, or a date, as RFC 9110 has it; None where there is neither."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        if date is None:
            return None
        seconds = email.utils.mktime_tz(date) - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def complaint_of(error: APIStatusError) -> str:
    """Everything that the endpoint said, to look for words in."""
    return json.dumps(error.body, default=str)[:20_000]


def _message_of(body: object) -> str:
    """The sentence among it; a page of HTML holds none."""
    if isinstance(body, dict):
        told: Any = body.get("message") or body.get("detail") or body.get("error") or ""
        return told if isinstance(told, str) else json.dumps(told)
    return body if isinstance(body, str) and not body.lstrip().startswith("<") else ""


def quote(said: str, model: Model) -> str:
    """What the endpoint said as part of a sentence: short, storable, and without the key that it may repeat."""
    key = model.api_key.get_secret_value()
    if len(key) > 4:
        said = said.replace(key, "[key]")
    said = clean(" ".join(said.split()))[:MAX_QUOTED].rstrip(". ")
    return f": {said}" if said else ""


def clean(text: str) -> str:
    """Without what the database does not take."""
    return _UNSTORABLE.sub("\ufffd", text)

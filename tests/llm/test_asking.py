"""Whatever an endpoint does to the real client: a reply or a failure by class, with what it cost, in bounds."""

import gzip
import json
import logging
import re
import socket
import threading
from decimal import Decimal
from typing import Any

import pytest

from discovery_service.domain.token_costs import NOTHING, Spent
from discovery_service.prompts import parse
from tests.llm import endpoint as endpoints
from tests.llm.conftest import PRICE, QUESTION, StartEndpoint, Waits, model_at
from tests.llm.endpoint import KEY, Behaviour, Handler, failing, limited_to, replying, sending
from workers.llm.asking import ATTEMPTS, LONGEST_WAIT_S, Question, ask, worst_case
from workers.llm.models import Model
from workers.llm.outcomes import Consequence, Failure, FaultCode, Outcome, Reply

JOIN_S = 30.0
PAID = Spent(100, 50, PRICE.of(100, 50))


def fails(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def replies(outcome: Outcome) -> Reply:
    assert isinstance(outcome, Reply), outcome
    return outcome


def test_a_reply_comes_with_what_it_cost_and_who_gave_it(start_endpoint: StartEndpoint, waits: Waits) -> None:
    endpoint = start_endpoint(replying('{"code": "def f(): ..."}', tokens=(200, 300)))
    reply = replies(ask(model_at(endpoint, temperature=0.5), QUESTION, waits))
    assert (reply.text, reply.model) == ('{"code": "def f(): ..."}', "a-model-2026")
    assert reply.spent == Spent(200, 300, Decimal("0.00325"))
    (request,) = endpoint.requests
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("a-model", 1000, 0.5)
    assert request["messages"] == list(QUESTION.messages)
    assert request["key"] == f"Bearer {KEY}"
    assert "metadata" not in request


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        "many",
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": 10**30},
        # Beside a reply that is not empty.
        {"prompt_tokens": 21, "completion_tokens": 0},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    ],
)
def test_without_a_usage_that_can_be_the_worst_case_is_charged_and_marked(
    start_endpoint: StartEndpoint, waits: Waits, usage: Any
) -> None:
    model = model_at(start_endpoint(replying(usage=usage)))
    reply = replies(ask(model, QUESTION, waits))
    assert reply.spent == worst_case(model, QUESTION)
    assert reply.spent.is_estimated


def test_what_a_model_thought_is_charged_where_the_total_alone_tells_of_it(
    start_endpoint: StartEndpoint, waits: Waits
) -> None:
    usage = {"prompt_tokens": 21, "completion_tokens": 10, "total_tokens": 81}
    reply = replies(ask(model_at(start_endpoint(replying(usage=usage))), QUESTION, waits))
    assert (reply.spent.tokens_in, reply.spent.tokens_out, reply.spent.is_estimated) == (21, 60, False)


def test_what_a_call_costs_is_within_what_was_reserved_for_it(start_endpoint: StartEndpoint, waits: Waits) -> None:
    """Of an endpoint that writes the schema into the prompt and knows nothing longer than a word."""

    def counting(handler: Handler) -> None:
        request = handler.server.requests[-1]
        prompt = json.dumps(request["messages"]) + json.dumps(request["response_format"])
        words = len(re.findall(r" ?\w{1,8}|\W", prompt))
        replying(tokens=(words, request["max_tokens"]))(handler)

    model = model_at(start_endpoint(otherwise=counting))
    for content in (
        "Write a loss.",
        "| dpo | +0.0132 [-0.0310, 0.0574] |\n" * 200,
        "\u03c3(\u2212\u03c1) \u597d " * 100,
    ):
        question = Question(({"role": "user", "content": content},), QUESTION.schema)
        reserved, spent = worst_case(model, question), replies(ask(model, question, waits)).spent
        assert reserved.cost_usd is not None
        assert spent.cost_usd is not None
        assert (spent.tokens_in, spent.cost_usd) <= (reserved.tokens_in, reserved.cost_usd)
        assert spent.cost_usd <= reserved.cost_usd


def test_what_an_endpoint_charges_beyond_its_limit_is_told_as_it_was_charged(
    start_endpoint: StartEndpoint, waits: Waits
) -> None:
    model = model_at(start_endpoint(endpoints.overcharging()))
    reply = replies(ask(model, QUESTION, waits))
    assert reply.spent == Spent(100, 5000, PRICE.of(100, 5000))
    assert reply.spent.tokens > worst_case(model, QUESTION).tokens


def test_without_prices_tokens_are_known_and_dollars_are_not(start_endpoint: StartEndpoint, waits: Waits) -> None:
    model = model_at(start_endpoint(), price=None)
    assert worst_case(model, QUESTION).cost_usd is None
    assert replies(ask(model, QUESTION, waits)).spent == Spent(100, 50, None)


def test_a_reply_that_max_tokens_cut_is_passed_on(start_endpoint: StartEndpoint, waits: Waits) -> None:
    reply = replies(ask(model_at(start_endpoint(replying("half", finish_reason="length"))), QUESTION, waits))
    assert reply.text == "half"


def test_a_reply_holds_nothing_that_the_database_refuses(start_endpoint: StartEndpoint, waits: Waits) -> None:
    assert replies(ask(model_at(start_endpoint(replying("a\x00b\tc\n"))), QUESTION, waits)).text == "a\ufffdb\tc\n"


def test_a_reply_with_windows_line_ends_is_a_proposal(start_endpoint: StartEndpoint, waits: Waits) -> None:
    code = "def loss(policy_chosen_logps, beta):\n    return -beta * policy_chosen_logps\n"
    said = json.dumps({"thought": "Think.", "name": "loss", "code": code}, indent=1)
    answer = replies(ask(model_at(start_endpoint(replying(said.replace("\n", "\r\n")))), QUESTION, waits))
    read = parse.parse_reply(answer.text)
    assert isinstance(read, parse.Reply)
    assert (read.name, read.code) == ("loss", code)


def test_a_reply_in_parts_is_their_text_without_what_the_model_thought(
    start_endpoint: StartEndpoint, waits: Waits
) -> None:
    parts = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    endpoint = start_endpoint(replying(message={"content": parts}))
    assert replies(ask(model_at(endpoint), QUESTION, waits)).text == "one two"


@pytest.mark.parametrize(
    ("behaviour", "code", "spent"),
    [
        (replying("", finish_reason="length"), FaultCode.CUT_WHILE_THINKING, PAID),
        (replying(" \n"), FaultCode.EMPTY, PAID),
        (replying(message={"content": None}), FaultCode.EMPTY, PAID),
        (replying(message={"content": None, "refusal": "I would rather not."}), FaultCode.FILTERED, PAID),
        (replying("some of it", finish_reason="content_filter"), FaultCode.FILTERED, PAID),
        (failing(400, "filtered", code="content_filter"), FaultCode.FILTERED, NOTHING),
        (failing(403, "your input was flagged"), FaultCode.FILTERED, NOTHING),
        (failing(410, "it has ended", code="not_recorded"), FaultCode.NOT_RECORDED, NOTHING),
    ],
)
def test_what_holds_no_reply_ends_this_proposal_alone(
    start_endpoint: StartEndpoint, waits: Waits, behaviour: Behaviour, code: FaultCode, spent: Spent
) -> None:
    endpoint = start_endpoint(behaviour)
    failure = fails(ask(model_at(endpoint), QUESTION, waits))
    assert (failure.code, failure.consequence) == (code, Consequence.GIVE_UP)
    assert failure.spent == spent
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        failing(400, "Your input is too long.", code="context_length_exceeded"),
        failing(413, "Request Entity Too Large"),
        sending(b"<html>413</html>", status=413, content_type="text/html"),
        # As vLLM, llama.cpp, Ollama and llama-cpp-python say it, in some of their versions.
        limited_to(1010),
        failing(400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
        failing(400, "The decoder prompt (length 9000) is longer than the maximum model length of 4096."),
        failing(400, "max_tokens must be at least 1, got -186."),
        failing(400, "the request exceeds the available context size. try increasing the context size"),
        sending(b'{"error": {"code": 500, "message": "no", "type": "exceed_context_size_error"}}', status=500),
        sending(b'{"error": "the input length exceeds the context length"}', status=400),
        failing(500, "input length exceeds maximum context length"),
        failing(400, "Requested tokens (2285) exceed context window of 2048"),
    ],
)
def test_a_prompt_that_is_too_long_ends_this_proposal_alone_and_names_what_to_set(
    start_endpoint: StartEndpoint, waits: Waits, behaviour: Behaviour
) -> None:
    endpoint = start_endpoint(otherwise=behaviour)
    failure = fails(ask(model_at(endpoint), QUESTION, waits))
    assert (failure.code, failure.consequence, failure.spent) == (FaultCode.TOO_LONG, Consequence.GIVE_UP, NOTHING)
    assert "context_tokens" in failure.message
    assert (len(endpoint.requests), waits.waited) == (1, [])


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (failing(401, "Incorrect API key"), FaultCode.UNAUTHORIZED),
        (failing(403, "not in your country"), FaultCode.UNAUTHORIZED),
        (failing(402, "Payment required"), FaultCode.QUOTA),
        (failing(429, "You exceeded your current quota", code="insufficient_quota"), FaultCode.QUOTA),
        (failing(404, "The model does not exist", code="model_not_found"), FaultCode.NOT_FOUND),
        (sending(b"<html>404</html>", status=404, content_type="text/html"), FaultCode.NOT_FOUND),
        (failing(410, "The model is retired"), FaultCode.NOT_FOUND),
        (failing(400, "max_tokens is too large: 1000"), FaultCode.BAD_REQUEST),
        # Of the longest reply alone, so that no prompt would do.
        (failing(400, "This model's maximum context length is 1000 tokens."), FaultCode.BAD_REQUEST),
        (failing(307, Location="http://127.0.0.1:1/"), FaultCode.BAD_REQUEST),
    ],
)
def test_what_a_person_has_to_mend_pauses_the_campaign_with_the_reason(
    start_endpoint: StartEndpoint, waits: Waits, behaviour: Behaviour, code: FaultCode
) -> None:
    endpoint = start_endpoint(behaviour)
    failure = fails(ask(model_at(endpoint), QUESTION, waits))
    assert (failure.code, failure.consequence, failure.spent) == (code, Consequence.PAUSE, NOTHING)
    assert endpoint.url in failure.message
    assert failure.message.endswith(".")
    assert "<html>" not in failure.message
    assert (len(endpoint.requests), waits.waited) == (1, [])


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (failing(429, "slow down"), FaultCode.RATE_LIMITED),
        (failing(429, "3 calls a minute; visit /account/billing to raise your quota"), FaultCode.RATE_LIMITED),
        (failing(500), FaultCode.OVERLOADED),
        (sending(b"<h1>away</h1>", status=503, content_type="text/html"), FaultCode.OVERLOADED),
        (failing(529, "overloaded"), FaultCode.OVERLOADED),
    ],
)
def test_what_is_free_is_tried_again_a_few_times_ever_later(
    start_endpoint: StartEndpoint, waits: Waits, behaviour: Behaviour, code: FaultCode
) -> None:
    endpoint = start_endpoint(otherwise=behaviour)
    failure = fails(ask(model_at(endpoint), QUESTION, waits))
    assert (failure.code, failure.consequence, failure.spent) == (code, Consequence.RETRY, NOTHING)
    assert len(endpoint.requests) == ATTEMPTS
    assert len(waits.waited) == ATTEMPTS - 1
    assert waits.waited == sorted(waits.waited, key=lambda each: each or 0)

    endpoint = start_endpoint(behaviour, behaviour)
    assert replies(ask(model_at(endpoint), QUESTION, waits)).spent.tokens == 150


def test_the_endpoints_own_wait_is_kept_and_one_beyond_reason_is_the_callers(
    start_endpoint: StartEndpoint, waits: Waits
) -> None:
    replies(ask(model_at(start_endpoint(failing(429, Retry_After="17"))), QUESTION, waits))
    assert waits.waited == [17]
    far = LONGEST_WAIT_S + 1
    endpoint = start_endpoint(failing(503, Retry_After=str(far)))
    failure = fails(ask(model_at(endpoint), QUESTION, waits))
    assert (failure.consequence, failure.retry_after_s) == (Consequence.RETRY, far)
    assert (len(endpoint.requests), waits.waited) == (1, [17])


@pytest.mark.parametrize("value", ["soon", "inf", "nan", "-3", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wait_that_is_none_is_backed_off_from(start_endpoint: StartEndpoint, waits: Waits, value: str) -> None:
    replies(ask(model_at(start_endpoint(failing(429, Retry_After=value))), QUESTION, waits))
    (wait,) = waits.waited
    assert wait is not None
    assert 0 < wait <= LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (endpoints.cutting, FaultCode.CUT),
        (endpoints.staying_silent, FaultCode.TIMEOUT),
        (endpoints.dripping, FaultCode.TIMEOUT),
        (endpoints.flooding, FaultCode.TOO_LARGE),
        (sending(gzip.compress(b"{}"), Content_Encoding="gzip"), FaultCode.TOO_LARGE),
        (failing(504, "upstream timed out"), FaultCode.OVERLOADED),
        (sending(b"<html>welcome</html>", content_type="text/html"), FaultCode.MALFORMED),
        (sending(b'{"choices": [{"mess'), FaultCode.MALFORMED),
        (sending(b"[]"), FaultCode.MALFORMED),
        (sending(b'{"error": {"message": "provider failed"}}'), FaultCode.MALFORMED),
        (sending(b""), FaultCode.MALFORMED),
    ],
)
def test_what_may_have_been_charged_is_counted_in_full_and_not_tried_again(
    start_endpoint: StartEndpoint, waits: Waits, behaviour: Behaviour, code: FaultCode
) -> None:
    endpoint = start_endpoint(otherwise=behaviour)
    timeout_s = 0.5 if code is FaultCode.TIMEOUT else 60
    model = model_at(endpoint, timeout_s=timeout_s)
    failure = fails(ask(model, QUESTION, waits))
    assert (failure.code, failure.consequence) == (code, Consequence.RETRY)
    assert failure.spent == worst_case(model, QUESTION)
    # On a machine that has no time for it, the time may be up before anything is sent.
    assert len(endpoint.requests) == 1 or (code is FaultCode.TIMEOUT and not endpoint.requests)


def test_nobody_there_is_free_and_told_with_the_address(waits: Waits) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    failure = fails(ask(model_at(url), QUESTION, waits))
    assert (failure.code, failure.consequence, failure.spent) == (
        FaultCode.UNREACHABLE,
        Consequence.RETRY,
        NOTHING,
    )
    assert url in failure.message
    assert len(waits.waited) == ATTEMPTS - 1


class Asking(threading.Thread):
    def __init__(self, model: Model, cancelled: threading.Event, held: threading.Event | None = None) -> None:
        super().__init__()
        self.model, self.cancelled, self.held = model, cancelled, held
        self.outcome: Outcome | None = None

    def run(self) -> None:
        self.outcome = ask(self.model, QUESTION, self.cancelled, self.held)

    def end(self) -> Outcome:
        self.join(JOIN_S)
        assert self.outcome is not None, "it still waits"
        return self.outcome


@pytest.mark.parametrize("behaviour", [endpoints.staying_silent, endpoints.dripping])
def test_a_cancellation_ends_the_wait_and_closes_the_connection(
    start_endpoint: StartEndpoint, behaviour: Behaviour
) -> None:
    endpoint, cancelled = start_endpoint(behaviour), threading.Event()
    model = model_at(endpoint, timeout_s=3000)
    asking = Asking(model, cancelled)
    asking.start()
    assert endpoint.asked.wait(JOIN_S)
    cancelled.set()
    failure = fails(asking.end())
    assert (failure.code, failure.consequence) == (FaultCode.CANCELLED, Consequence.CANCELLED)
    assert failure.spent == worst_case(model, QUESTION)  # it may work on an answer all the same
    assert endpoint.left.wait(JOIN_S)


class Awaited(threading.Event):
    """Tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_awaited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.is_awaited.set()
        return super().wait(timeout)


def test_a_cancellation_ends_the_wait_before_another_try(start_endpoint: StartEndpoint) -> None:
    endpoint, cancelled = start_endpoint(failing(429, Retry_After=str(LONGEST_WAIT_S))), Awaited()
    asking = Asking(model_at(endpoint), cancelled)
    asking.start()
    assert cancelled.is_awaited.wait(JOIN_S)
    cancelled.set()
    assert fails(asking.end()).spent == NOTHING
    assert len(endpoint.requests) == 1


def test_who_is_held_back_ends_a_call_that_is_under_way(start_endpoint: StartEndpoint) -> None:
    answers = threading.Event()

    def reply_at_last(handler: Handler) -> None:
        assert answers.wait(JOIN_S)
        replying("at last")(handler)

    endpoint, held = start_endpoint(reply_at_last), threading.Event()
    asking = Asking(model_at(endpoint), threading.Event(), held)
    asking.start()
    assert endpoint.asked.wait(JOIN_S)
    held.set()
    answers.set()
    assert replies(asking.end()).text == "at last"


def test_who_is_held_back_begins_no_other_call_and_has_spent_nothing(start_endpoint: StartEndpoint) -> None:
    endpoint, held = start_endpoint(failing(429, Retry_After=str(LONGEST_WAIT_S))), Awaited()
    asking = Asking(model_at(endpoint), threading.Event(), held)
    asking.start()
    assert held.is_awaited.wait(JOIN_S)
    held.set()
    failure = fails(asking.end())
    assert (failure.consequence, failure.spent) == (Consequence.HOLD, NOTHING)
    assert len(endpoint.requests) == 1


def test_who_is_cancelled_already_asks_nobody(start_endpoint: StartEndpoint) -> None:
    endpoint, cancelled = start_endpoint(), threading.Event()
    cancelled.set()
    assert fails(ask(model_at(endpoint), QUESTION, cancelled)).code is FaultCode.CANCELLED
    assert endpoint.requests == []


def test_the_key_is_told_to_nobody_but_the_endpoint(
    start_endpoint: StartEndpoint, waits: Waits, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    model = model_at(start_endpoint(failing(401, f"Incorrect API key provided: {KEY}."), otherwise=failing(400, KEY)))
    failures = [fails(ask(model, QUESTION, waits)) for _ in range(2)]
    told = [repr(model), *map(repr, failures), *(str(each.document()) for each in failures), caplog.text]
    assert [each for each in told if KEY in each] == []
    assert "[key]" in failures[0].message


def test_an_endpoint_of_this_machine_is_asked_without_a_proxy(
    start_endpoint: StartEndpoint, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    replies(ask(model_at(start_endpoint()), QUESTION, waits))

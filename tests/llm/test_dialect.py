"""What an endpoint does not take is left away, step by step, once for the process."""

import pytest

from tests.llm.conftest import QUESTION, StartEndpoint, Waits, model_at
from tests.llm.endpoint import Behaviour, Endpoint, Handler, failing, replying
from workers.llm.asking import Question, ask
from workers.llm.outcomes import Failure, FaultCode, Reply


def formats(endpoint: Endpoint) -> list[str | None]:
    return [request.get("response_format", {}).get("type") for request in endpoint.requests]


def refusing(*names: str) -> Behaviour:
    """An endpoint that knows no such formats."""

    def behave(handler: Handler) -> None:
        asked = handler.server.requests[-1].get("response_format", {}).get("type")
        answer = failing(400, f"response_format of type {asked} is not supported") if asked in names else replying()
        answer(handler)

    return behave


@pytest.mark.parametrize(
    ("refused", "first", "then"),
    [
        ((), ["json_schema"], "json_schema"),
        (("json_schema",), ["json_schema", "json_object"], "json_object"),
        (("json_schema", "json_object"), ["json_schema", "json_object", None], None),
    ],
)
def test_the_richest_format_that_is_taken_is_found_once(
    start_endpoint: StartEndpoint, waits: Waits, refused: tuple[str, ...], first: list[str | None], then: str | None
) -> None:
    endpoint = start_endpoint(otherwise=refusing(*refused))
    for _ in range(2):
        assert isinstance(ask(model_at(endpoint), QUESTION, waits), Reply)
    assert formats(endpoint) == [*first, then]
    assert waits.waited == []


def test_the_schema_travels_as_it_is(start_endpoint: StartEndpoint, waits: Waits) -> None:
    endpoint = start_endpoint()
    ask(model_at(endpoint), QUESTION, waits)
    assert endpoint.requests[0]["response_format"]["json_schema"]["schema"] == QUESTION.schema


def test_without_a_schema_text_is_asked_for(start_endpoint: StartEndpoint, waits: Waits) -> None:
    endpoint = start_endpoint()
    ask(model_at(endpoint), Question(QUESTION.messages), waits)
    assert formats(endpoint) == [None]


def test_a_model_that_wants_the_newer_name_of_the_limit_gets_it(start_endpoint: StartEndpoint, waits: Waits) -> None:
    said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    endpoint = start_endpoint(failing(400, said))
    for _ in range(2):
        assert isinstance(ask(model_at(endpoint), QUESTION, waits), Reply)
    assert [request.get("max_tokens") for request in endpoint.requests] == [1000, None, None]
    assert [request.get("max_completion_tokens") for request in endpoint.requests] == [None, 1000, 1000]
    assert formats(endpoint) == ["json_schema"] * 3


def test_what_is_refused_to_the_end_is_told_and_nothing_is_remembered(
    start_endpoint: StartEndpoint, waits: Waits
) -> None:
    endpoint = start_endpoint(*[failing(400, "no json_schema, and no json_object: no text") for _ in range(3)])
    failure = ask(model_at(endpoint), QUESTION, waits)
    assert isinstance(failure, Failure)
    assert failure.code is FaultCode.BAD_REQUEST
    ask(model_at(endpoint), QUESTION, waits)
    assert formats(endpoint)[-1] == "json_schema"

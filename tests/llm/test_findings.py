"""`discovery doctor --llm` says of each configured model whether it answers, what it takes, and what is not known."""

from collections.abc import Iterator

import pytest

from discovery_service.settings import get_settings
from tests.llm import endpoint as endpoints
from tests.llm.conftest import StartEndpoint
from tests.llm.endpoint import KEY, Behaviour, Endpoint, failing, replying
from workers.llm.findings import MOST_TOKENS, Finding, find_models


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def finding(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, **profile: str) -> Finding:
    for name, value in {"model": "qwen", "base_url": endpoint.url, "api_key": KEY, **profile}.items():
        monkeypatch.setenv(f"DISCOVERY__LLM__PROFILES__OWN__{name.upper()}", value)
    monkeypatch.setenv("DISCOVERY__LLM__MODEL", "own")
    (found,) = find_models()
    return found


def test_an_endpoint_that_can_all_is_told_so_after_one_cheap_call(
    start_endpoint: StartEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = start_endpoint()
    found = finding(monkeypatch, endpoint, input_usd_per_million="1", output_usd_per_million="4")
    assert (found.name, found.state, found.advice) == ("model own", "ok", "")
    for told in ("qwen at", "takes a JSON schema", "reports its usage (100 and 50 tokens)", "prices are known"):
        assert told in found.detail
    assert [request["max_tokens"] for request in endpoint.requests] == [MOST_TOKENS]


def test_what_an_endpoint_does_not_do_is_told(start_endpoint: StartEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = start_endpoint(failing(400, "json_schema is not supported"), otherwise=replying(usage=None))
    found = finding(monkeypatch, endpoint)
    assert found.state == "ok"
    for told in ("takes JSON mode, no schema", "does not report its usage", "prices are not known"):
        assert told in found.detail
    assert "no budget in dollars" in found.advice


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [(failing(401, f"bad key {KEY}"), "does not take the key"), (endpoints.cutting, "cut the connection")],
)
def test_an_endpoint_that_fails_is_a_problem_and_the_key_is_not_shown(
    start_endpoint: StartEndpoint, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, told: str
) -> None:
    found = finding(monkeypatch, start_endpoint(behaviour))
    assert found.state == "problem"
    assert told in found.detail
    assert found.advice
    assert KEY not in repr(found)


def test_a_model_that_only_thinks_in_so_few_tokens_answers(
    start_endpoint: StartEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finding(monkeypatch, start_endpoint(replying("", finish_reason="length"))).state == "ok"


def test_where_nothing_is_configured_nothing_is_broken() -> None:
    (found,) = find_models()
    assert found.state == "missing"
    assert found.detail.startswith("there is no key for it")
    assert found.advice.startswith("Set OPENAI_API_KEY")

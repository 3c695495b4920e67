"""Settings: read from the environment by name, refused when misspelt, shown without their secrets."""

import json
import traceback
from collections.abc import Iterator

import pytest

from discovery_service.errors import UsageError
from discovery_service.settings import get_openai_settings, get_settings, required


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_the_name_of_a_variable_is_the_path_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY__DB__URL", "postgresql://me@here/x")
    monkeypatch.setenv("DISCOVERY__API__PORT", "9000")
    settings = get_settings()
    assert required(settings.db.url, "DISCOVERY__DB__URL") == "postgresql://me@here/x"
    assert settings.api.port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DISCOVERY__DB__URLL", "x"),
        ("DISCOVERY__DDB__URL", "x"),
        ("DISCOVERY__API__PORT", "high"),
        ("DISCOVERY__LOG__FORMAT", "xml"),
        ("DISCOVERY__LLM__MODELLE", "x"),
        ("DISCOVERY__LLM__PROFILES__FAST__CONCURRENCY", "9"),
        ("DISCOVERY__LLM__PROFILES__FAST__CONTEXT_TOKENS", "0"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        get_settings()


def test_a_missing_url_says_what_to_set() -> None:
    with pytest.raises(UsageError, match="DISCOVERY__DB__URL is not set"):
        required(get_settings().db.url, "DISCOVERY__DB__URL")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DB__URL", "DB__OWNER_URL", "REDIS__URL", "API__KEY_SECRET", "CLIENT__API_KEY"):
        monkeypatch.setenv(f"DISCOVERY__{name}", "hunter2")
    assert "hunter2" not in json.dumps(get_settings().redacted())


def test_a_profile_of_a_model_is_made_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY__LLM__PROFILES__FAST__MODEL", "gpt-5-nano")
    monkeypatch.setenv("DISCOVERY__LLM__PROFILES__FAST__API_KEY", "hunter2")
    monkeypatch.setenv("DISCOVERY__LLM__PROFILES__FAST__OUTPUT_USD_PER_MILLION", "0.4")
    settings = get_settings()
    assert settings.llm.profiles["fast"].model == "gpt-5-nano"
    assert str(settings.llm.profiles["fast"].output_usd_per_million) == "0.4"
    assert "hunter2" not in json.dumps(settings.redacted())
    assert "hunter2" not in repr(settings)


def test_a_reply_that_would_fill_the_whole_context_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY__LLM__PROFILES__FAST__MODEL", "m")
    monkeypatch.setenv("DISCOVERY__LLM__PROFILES__FAST__CONTEXT_TOKENS", "8192")
    with pytest.raises(UsageError, match=r"LLM__PROFILES__FAST cannot be used: .*max_tokens is 8192"):
        get_settings()


def test_the_usual_variables_are_read_and_an_empty_one_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    usual = get_openai_settings()
    assert required(usual.openai_api_key, "OPENAI_API_KEY") == "hunter2"
    assert usual.openai_base_url == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:hunter2@proxy/v1")
    with pytest.raises(UsageError, match=r"OPENAI_BASE_URL cannot be used: (?!.*hunter2)"):
        get_openai_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "hunter2\nhunter2"),
        ("OPENAI_BASE_URL", "https://me:hunter2@proxy/v1"),
        ("OPENAI_BASE_URL", "https://me:hunter2\u2100@proxy/v1"),
        ("DISCOVERY__LLM__PROFILES__FAST__API_KEY", "hunter2\nhunter2"),
        ("DISCOVERY__LLM__PROFILES__FAST__BASE_URL", "https://me:hunter2@proxy/v1"),
        ("DISCOVERY__LLM__PROFILES__FAST", '{"model": "m", "api_key": "hunter2"}'),
        ("DISCOVERY__LLM__PROFILES", '{"fast": {"model": "m", "api_key": "hunter2"}}'),
        ("DISCOVERY__LLM", '{"profiles": {"fast": {"model": "m", "api_key": "hunter2"}}}'),
        ("DISCOVERY__llm", '{"profiles": {"fast": "hunter2'),
        ("DISCOVERY__DB", '{"url": "postgresql://me:hunter2@db/x"}'),
    ],
)
def test_what_cannot_be_used_is_not_told_not_even_to_who_prints_the_whole_traceback(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("DISCOVERY__LLM__PROFILES__FAST__MODEL", "m")
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"{name} cannot be used") as raised:
        get_openai_settings() if name.startswith("OPENAI") else get_settings()
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))

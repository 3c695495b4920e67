"""Settings: read from the environment by name, refused when misspelt, shown without their secrets."""

import json
from collections.abc import Iterator

import pytest

from discovery_service.errors import UsageError
from discovery_service.settings import get_settings, required


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

"""The command against a real API: in this process where only its output matters, as a process where its life does."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from discovery_service.api import create_app
from discovery_service.cli.app import make_app
from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.domain.access import Scope
from discovery_service.domain.isolation import Level
from discovery_service.settings import get_settings
from tests.api.serving import api_settings, make_key, serving
from tests.conftest import Database
from workers.supervisor.jail import Jail


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _settings_of_this_test() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def open_jail() -> Iterator[Callable[[Level], Jail]]:
    """Of a level once, for it takes seconds; a command that is a process opens its own."""
    with ExitStack() as stack:
        yield cache(lambda minimum: stack.enter_context(Jail(minimum=minimum)))


@pytest.fixture
def discovery(tmp_path: Path, open_jail: Callable[[Level], Jail], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command where nothing is set but what the test gives, in this process."""
    monkeypatch.setattr("workers.gate.process.Jail", lambda minimum: nullcontext(open_jail(minimum)))

    def run(*args: object, env: Mapping[str, str] | None = None, stdin: str | None = None) -> Ran:
        get_settings.cache_clear()
        home = {"DISCOVERY__LOCAL__DATA_DIR": str(tmp_path)}
        result = CliRunner().invoke(make_app(), [str(each) for each in args], input=stdin, env=home | dict(env or {}))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def discovery_process(tmp_path: Path) -> Command:
    """The same as a process of its own."""

    def run(*args: object, env: Mapping[str, str] | None = None, timeout_s: float = 60) -> Ran:
        command = [sys.executable, "-m", "discovery_service.cli", *(str(each) for each in args)]
        environment = {"HOME": str(tmp_path), **(env or {})}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return run


@pytest.fixture
def api_env(database: Database, redis_url: str, sessions: Sessions) -> Iterator[dict[str, str]]:
    """The settings that lead to a running API, with a key for everything."""
    # The API is in this process too, and its log may not get between what a command prints.
    with capture_logs(), serving(create_app(api_settings(database.service_url, redis_url))) as url:
        yield {"DISCOVERY__CLIENT__URL": url, "DISCOVERY__CLIENT__API_KEY": make_key(sessions, Scope.ADMIN)}


@pytest.fixture
def client(api_env: dict[str, str]) -> Iterator[Client]:
    with Client(api_env["DISCOVERY__CLIENT__URL"], api_env["DISCOVERY__CLIENT__API_KEY"]) as made:
        yield made

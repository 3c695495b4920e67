import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from sqlalchemy import select
from typer.testing import CliRunner

import workers.cli
import workers.start
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Worker
from discovery_service.engine.dispatch import QUEUES
from discovery_service.errors import UsageError
from discovery_service.settings import MachineSettings, Settings, WorkerSettings, get_settings
from tests.conftest import Database
from tests.waiting import wait_until
from tests.workers.conftest import Fleet
from workers.cli import register
from workers.kinds import WorkerKind
from workers.process import get_sessions
from workers.slots import make_slots
from workers.start import run_worker, shape_of


def command_names() -> set[str | None]:
    app = typer.Typer()
    register(app)
    return {command.name or getattr(command.callback, "__name__", None) for command in app.registered_commands}


def test_what_wants_torch_joins_the_command_line() -> None:
    assert command_names() == {
        "worker",
        "beat",
        "gate",
        "evaluate",
        "compare",
        "recorded",
        "replay",
        "reproduce",
        "try",
    }


def test_without_torch_the_commands_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.cli, "find_spec", lambda name: None)
    assert command_names() == set()


def test_joining_the_command_line_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'openai', 'alembic', 'sqlalchemy', 'celery'}"
    code = f"import sys, workers.cli; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": os.defpath})


def test_a_kind_that_there_is_not_is_answered_with_those_there_are() -> None:
    app = typer.Typer()
    register(app)
    answer = CliRunner().invoke(app, ["worker", "judge"])
    assert answer.exit_code == 2
    assert all(kind in answer.stderr for kind in WorkerKind)


def test_every_queue_is_somebodys() -> None:
    assert sorted(queue for kind in WorkerKind for queue in shape_of(kind).queues) == sorted(QUEUES)


def test_a_worker_takes_as_many_evaluations_at_once_as_it_has_slots_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = make_slots(Settings(worker=WorkerSettings(devices="cpu", slots=7)), MachineSettings(), ("true",))
    monkeypatch.setattr(workers.start, "get_slots", lambda: slots)
    assert shape_of(WorkerKind.EVALUATE).slots == 7


def test_only_an_evaluation_keeps_no_message_behind_it() -> None:
    assert [kind for kind in WorkerKind if not shape_of(kind).prefetches] == [WorkerKind.EVALUATE]


@pytest.mark.parametrize("kind", WorkerKind)
def test_a_worker_of_each_kind_starts_and_stands_in_the_fleet(
    fleet: Fleet, sessions: Sessions, kind: WorkerKind
) -> None:
    fleet.start_worker(kind)
    wait_until(lambda: f"{kind}@here ready" in fleet.read_logs())
    with sessions() as session:
        row = session.scalars(select(Worker)).one()
    shape = shape_of(kind)
    slots = 2 if kind is WorkerKind.EVALUATE else shape.slots
    assert (row.name, sorted(row.queues), row.slots) == (f"{kind}@here", sorted(shape.queues), slots)
    assert row.stopped_at is None


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """To set variables of the environment in; what was made from them is forgotten afterwards."""
    monkeypatch.setattr(workers.start, "configure_logs", lambda settings: None)
    get_settings.cache_clear()
    yield monkeypatch
    if get_sessions.cache_info().currsize:
        get_sessions().kw["bind"].dispose()
    get_sessions.cache_clear()
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("database_url", "sentence"),
    [
        ("postgresql://nobody@/nothing?host=/nowhere", "The database cannot be reached: .*nowhere.*DISCOVERY__DB__URL"),
        (None, "DISCOVERY__DB__URL is not set"),
    ],
)
def test_a_worker_without_a_database_says_what_to_mend(
    settings_of: pytest.MonkeyPatch, database_url: str | None, sentence: str
) -> None:
    settings_of.setenv("DISCOVERY__REDIS__URL", "redis://127.0.0.1:1/0")
    if database_url is not None:
        settings_of.setenv("DISCOVERY__DB__URL", database_url)
    with pytest.raises(UsageError, match=sentence):
        run_worker(WorkerKind.EVALUATE)


def test_a_worker_of_an_empty_database_says_what_to_do(
    settings_of: pytest.MonkeyPatch, database: Database, empty_database: Database
) -> None:
    settings_of.setenv("DISCOVERY__REDIS__URL", "redis://127.0.0.1:1/0")
    settings_of.setenv("DISCOVERY__DB__URL", empty_database.service_url)
    with pytest.raises(UsageError, match="discovery db upgrade"):
        run_worker(WorkerKind.EVALUATE)

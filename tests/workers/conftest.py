import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Evaluation, Event, Measurement
from discovery_service.domain.states import EvaluationStatus
from discovery_service.engine.bell import CeleryBell, make_bell
from discovery_service.engine.dispatch import ring, unit_of_work
from discovery_service.engine.work import EVALUATION
from discovery_service.settings import get_settings
from tests import rows
from tests.conftest import Database, RecordingBell
from tests.waiting import wait_until
from workers.gate.candidate import get_archives
from workers.gate.process import get_own_jail
from workers.process import get_sessions
from workers.steps import get_waiting

ROOT = Path(__file__).parents[2]
OUTER = ROOT / "tests" / "jail" / "outer.py"


class Fleet:
    """Real workers and a real beat as processes of their own, on the test's servers."""

    def __init__(self, env: dict[str, str], logs: Path) -> None:
        self._env = env
        self._logs = logs
        self._processes: list[subprocess.Popen[bytes]] = []

    def start_worker(self, kind: str = "evaluate", name: str | None = None) -> subprocess.Popen[bytes]:
        return self._start("-m", "tests.workers.app", kind, name or f"{kind}@here")

    def start_gate(self, *, without: str | None = None, **settings: str) -> subprocess.Popen[bytes]:
        """The gate's own tasks; `without` takes a lock away from the kernel below it.

        With one process, and so one jail, which takes 5 s of a core to warm up; a deployed one has one for each core.
        """
        command = ["-m", "discovery_service.cli", "worker", "gate"]
        if without is not None:
            command = [str(OUTER), without, sys.executable, *command]
        with on_one_core():
            return self._start(*command, **settings)

    def start_evaluate(self, name: str = "evaluate@here", **settings: object) -> subprocess.Popen[bytes]:
        """The evaluate task itself, on runtimes that know the arenas of tests/runtime/toy.py."""
        given = {f"DISCOVERY__WORKER__{key.upper()}": str(value) for key, value in settings.items()}
        return self._start("-m", "tests.workers.toys", name, **given)

    def start_deployed(self, kind: str, **settings: str) -> subprocess.Popen[bytes]:
        """A worker as it is deployed."""
        return self._start("-m", "discovery_service.cli", "worker", kind, **settings)

    def start_beat(self, directory: Path) -> subprocess.Popen[bytes]:
        return self._start("-c", "from workers.cli import beat; beat()", cwd=directory)

    def _start(self, *argv: str, cwd: Path = ROOT, **settings: str) -> subprocess.Popen[bytes]:
        env = self._env | settings
        with self._logs.open("ab") as log:
            process = subprocess.Popen([sys.executable, *argv], cwd=cwd, env=env, stderr=log, stdout=log)
        self._processes.append(process)
        return process

    def read_logs(self) -> str:
        return self._logs.read_text()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def on_one_core() -> Iterator[None]:
    """What this thread starts meanwhile sees no other one."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {random.choice(sorted(cores))})
    yield
    os.sched_setaffinity(0, cores)


@pytest.fixture
def fleet(database: Database, redis_url: str, tmp_path: Path) -> Iterator[Fleet]:
    env = {
        "PATH": os.defpath,
        "DISCOVERY__DB__URL": database.service_url,
        "DISCOVERY__REDIS__URL": redis_url,
        "DISCOVERY__WORKER__SLOTS": "2",
        "DISCOVERY__WORKER__DEVICES": "cpu",
        "DISCOVERY__ARENAS__CACHE_DIR": str(tmp_path / "arenas"),
        "DISCOVERY__LOG__LEVEL": "debug",
    }
    logs = tmp_path / "fleet.log"
    logs.touch()
    made = Fleet(env, logs)
    yield made
    made.end()
    print(made.read_logs())  # noqa: T201 - pytest shows it beside a failure


class Search:
    """A running campaign and its evaluations, as seen from outside."""

    def __init__(self, sessions: Sessions, bell: CeleryBell) -> None:
        self.sessions = sessions
        self.bell = bell
        with sessions.begin() as session:
            self.campaign_id = rows.add_campaign(session).id

    def add(self, count: int = 1, **setting: object) -> list[UUID]:
        """Evaluations that wait and are rung for."""
        with unit_of_work(self.sessions, self.bell) as session:
            campaign = session.get_one(Campaign, self.campaign_id)
            candidate = rows.add_candidate(session, campaign)
            row_ids = [
                rows.add_evaluation(session, campaign, candidate=candidate, setting=setting).id for _ in range(count)
            ]
            ring(session, EVALUATION, *row_ids)
        return row_ids

    def get(self, evaluation_id: UUID) -> Evaluation:
        with self.sessions() as session:
            return session.get_one(Evaluation, evaluation_id)

    def wait_for(self, status: EvaluationStatus, *evaluation_ids: UUID) -> None:
        def are_so() -> bool:
            with self.sessions() as session:
                query = select(func.count()).where(Evaluation.id.in_(evaluation_ids), Evaluation.status == status)
                return session.scalar(query) == len(evaluation_ids)

        wait_until(are_so, deadline_s=30)

    def count_runs(self) -> dict[UUID, int]:
        with self.sessions() as session:
            query = select(Event.subject_id, func.count()).where(Event.kind == rows.RAN).group_by(Event.subject_id)
            return {subject_id: count for subject_id, count in session.execute(query) if subject_id is not None}

    def count_measurements(self) -> int:
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(Measurement)) or 0


@pytest.fixture
def search(sessions: Sessions, redis_url: str) -> Search:
    return Search(sessions, make_bell(redis_url))


@pytest.fixture
def in_process(database: Database, bell: RecordingBell, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if this process were one of a worker's pool, of a service on the test's servers."""
    caches = (get_settings, get_sessions, get_archives, get_own_jail)
    for each in caches:
        each.cache_clear()
    monkeypatch.setenv("DISCOVERY__DB__URL", database.service_url)
    monkeypatch.setattr("workers.process.get_bell", lambda: bell)
    yield
    get_waiting().join()  # a step that is still to be taken would be taken in the next test's database
    get_sessions().kw["bind"].dispose()
    for each in caches:
        each.cache_clear()

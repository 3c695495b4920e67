"""`kill -9` at random moments, of runtime, worker or database: each evaluation is measured exactly once."""

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import pytest
from sqlalchemy import func, update
from sqlalchemy.exc import OperationalError

from discovery_service.db.migrate import upgrade
from discovery_service.db.sessions import make_sessions
from discovery_service.db.tables import Evaluation
from discovery_service.domain.states import EvaluationStatus
from discovery_service.engine.bell import make_bell
from tests.waiting import wait_until
from tests.workers.conftest import Fleet
from tests.workers.server import Server
from tests.workers.trainings import SETTING, Trainings, runtimes_of

EVALUATIONS, KILLS = 8, 2  # fewer than the crashes that an evaluation may have
STEPS = 1500
"""A second or two each, so that most moments lie within a training."""
WITHIN_S = 4.0
LONG_AGO = func.now() - timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[Server]:
    with TemporaryDirectory(prefix="d.") as directory:
        made = Server(Path(directory))
        upgrade(made.postgres.owner_url)
        yield made
        made.kill()


class World:
    """A campaign's evaluations, a worker that trains them, and what a test kills."""

    def __init__(self, server: Server, redis_url: str, directory: Path) -> None:
        self._server, self._directory = server, directory
        logs = directory / "fleet.log"
        logs.touch()
        self.fleet = Fleet(
            {
                "PATH": os.defpath,
                "DISCOVERY__DB__URL": server.postgres.service_url,
                "DISCOVERY__REDIS__URL": redis_url,
                "DISCOVERY__WORKER__DEVICES": "cpu",
                "DISCOVERY__ARENAS__CACHE_DIR": str(directory / "arenas"),
            },
            logs,
        )
        sessions = make_sessions(server.postgres.service_url, pool_size=5)
        self.trainings = Trainings(sessions, make_bell(redis_url))
        self._worker = self.start_worker()
        # Its queue of upkeep is what it is here for.
        self.fleet.start_worker("gate")
        self.fleet.start_beat(directory)

    def start_worker(self) -> "subprocess.Popen[bytes]":
        return self.fleet.start_evaluate(slots=2)

    def kill_a_runtime(self) -> None:
        for pid in runtimes_of(self._worker.pid)[:1]:
            os.kill(pid, signal.SIGKILL)

    def kill_the_worker(self) -> None:
        runtimes = runtimes_of(self._worker.pid)
        self._worker.kill()
        self._worker.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in runtimes))
        self._worker = self.start_worker()

    def kill_the_database(self) -> None:
        self._server.kill()
        self._server.start()

    def hasten(self) -> None:
        """What waits is rung for at the next sweep, as if a minute had passed."""
        with self.trainings.sessions.begin() as session:
            waiting = Evaluation.status == EvaluationStatus.QUEUED
            session.execute(update(Evaluation).where(waiting).values(rung_at=LONG_AGO))


@pytest.fixture
def world(server: Server, redis_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(server, redis_url, tmp_path)
    yield made
    made.fleet.end()
    made.trainings.sessions.kw["bind"].dispose()
    print(made.fleet.read_logs()[-20_000:])  # noqa: T201 - pytest shows it beside a failure


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kill", [World.kill_a_runtime, World.kill_the_worker, World.kill_the_database])
def test_after_recovery_there_is_exactly_one_measurement_for_each_evaluation(
    world: World, kill: Callable[[World], None]
) -> None:
    chance = random.Random()
    seed = chance.getrandbits(32)
    chance.seed(seed)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it beside a failure
    trainings = world.trainings
    added = [trainings.add(draw=str(number), setting={**SETTING, "steps": STEPS}) for number in range(EVALUATIONS)]
    wait_until(lambda: trainings.measurements(), deadline_s=60)
    for _ in range(KILLS):
        Event().wait(chance.uniform(0, WITHIN_S))
        kill(world)

    def are_settled() -> bool:
        try:
            world.hasten()
            return all(trainings.get(row_id).finished_at for row_id in added)
        except OperationalError:
            return False

    wait_until(are_settled, deadline_s=200)
    rows = [trainings.get(row_id) for row_id in added]
    assert {row.status for row in rows} == {EvaluationStatus.SUCCEEDED}
    assert len({row.measurement_id for row in rows}) == len(trainings.measurements()) == EVALUATIONS
    assert not any(row.is_reused for row in rows)
    assert trainings.count_charged() == EVALUATIONS

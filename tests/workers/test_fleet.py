import os
import socket
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from celery.signals import worker_shutdown
from celery.worker import state
from sqlalchemy import create_engine, func
from sqlalchemy.orm import sessionmaker
from structlog.testing import CapturingLogger

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Worker
from discovery_service.engine.workers import Process
from tests.waiting import wait_until
from workers import fleet, process
from workers.fleet import EXIT_REPLACED, Membership, find_worker_id, has_ended


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    log = CapturingLogger()
    monkeypatch.setattr(fleet, "log", log)
    return log


class CeleryWorker:
    """What a step sees of Celery's worker."""

    hostname = "gate@here"
    concurrency = 2

    def __init__(self, *queues: str) -> None:
        self.steps: list[object] = []
        self.app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=dict.fromkeys(queues))))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> CeleryWorker:
    monkeypatch.setattr(state, "should_stop", None)
    return CeleryWorker("gate", "maintain")


@pytest.fixture
def member(
    sessions: Sessions, worker: CeleryWorker, monkeypatch: pytest.MonkeyPatch, log: CapturingLogger
) -> Iterator[Membership]:
    """A worker that has joined and is seen as often as a test wants."""
    monkeypatch.setattr(process, "get_sessions", lambda: sessions)
    monkeypatch.setattr(fleet, "SEE_EVERY_S", 0.02)
    joined = Membership(worker)
    joined.start(worker)
    yield joined
    joined.terminate(worker)
    worker_shutdown.send(sender=worker)


def get_row(sessions: Sessions, member: Membership) -> Worker:
    with sessions() as session:
        return session.get_one(Worker, member.id)


def test_a_worker_claims_under_the_row_that_it_joined_with(sessions: Sessions, member: Membership) -> None:
    assert find_worker_id() == member.id
    row = get_row(sessions, member)
    assert (row.name, row.queues, row.slots) == ("gate@here", ["gate", "maintain"], 2)


def test_a_worker_is_seen_while_it_lives(sessions: Sessions, member: Membership) -> None:
    for _ in range(2):
        before = get_row(sessions, member).seen_at
        wait_until(lambda before=before: get_row(sessions, member).seen_at > before)


def test_a_worker_that_stops_claims_nothing_and_keeps_its_leases_until_its_pool_has_ended(
    sessions: Sessions, member: Membership, worker: CeleryWorker
) -> None:
    member.stop(worker)
    assert find_worker_id() is None
    assert get_row(sessions, member).stopped_at is None
    worker_shutdown.send(sender=worker)
    assert get_row(sessions, member).stopped_at is not None


def test_a_pool_that_does_not_end_loses_its_leases_after_a_while(
    sessions: Sessions, member: Membership, worker: CeleryWorker
) -> None:
    member._grace.interval = 0.02
    member.stop(worker)
    wait_until(lambda: get_row(sessions, member).stopped_at)


def test_a_worker_that_trains_frees_its_leases_at_once(sessions: Sessions, member: Membership) -> None:
    worker = CeleryWorker("evaluate")
    trains = Membership(worker)
    trains.start(worker)
    trains.stop(worker)
    assert get_row(sessions, trains).stopped_at is not None
    worker_shutdown.send(sender=worker)


def test_a_worker_whose_name_another_one_took_says_so_and_gives_way(
    sessions: Sessions, member: Membership, log: CapturingLogger
) -> None:
    with sessions.begin() as session:
        session.get_one(Worker, member.id).stopped_at = func.now()
    wait_until(lambda: state.should_stop)
    assert state.should_stop == EXIT_REPLACED
    assert find_worker_id() is None
    assert log.calls[-1].args == ("worker.replaced",)


def test_a_process_has_ended_when_it_is_of_this_host_and_gone() -> None:
    here = socket.gethostname()
    with subprocess.Popen(["true"]) as gone:
        pass
    assert has_ended(Process(here, gone.pid))
    assert not has_ended(Process(here, os.getppid()))
    assert not has_ended(Process("elsewhere", gone.pid))
    # In a container that was started again the number is the same.
    assert has_ended(Process(here, os.getpid()))


def test_a_database_that_is_away_neither_ends_a_worker_nor_keeps_it_from_stopping(
    sessions: Sessions,
    member: Membership,
    worker: CeleryWorker,
    log: CapturingLogger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = sessionmaker(create_engine("postgresql://nobody@/nothing?host=/nowhere"))
    with monkeypatch.context() as patch:
        patch.setattr(process, "get_sessions", lambda: away)
        wait_until(lambda: any(call.args == ("worker.unseen",) for call in log.calls))
    before = get_row(sessions, member).seen_at
    wait_until(lambda: get_row(sessions, member).seen_at > before)
    with monkeypatch.context() as patch:
        patch.setattr(process, "get_sessions", lambda: away)
        member.terminate(worker)
    assert log.calls[-1].args == ("worker.leases_kept",)

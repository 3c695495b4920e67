from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from structlog.testing import CapturingLogger

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Worker
from discovery_service.engine.workers import register_worker
from tests.waiting import wait_until
from workers import fleet, process
from workers.fleet import Membership, find_worker_id


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    log = CapturingLogger()
    monkeypatch.setattr(fleet, "log", log)
    return log


@pytest.fixture
def member(sessions: Sessions, monkeypatch: pytest.MonkeyPatch, log: CapturingLogger) -> Iterator[Membership]:
    """A worker that has joined and is seen as often as a test wants."""
    monkeypatch.setattr(process, "get_sessions", lambda: sessions)
    monkeypatch.setattr(fleet, "SEE_EVERY_S", 0.02)
    queues = SimpleNamespace(consume_from={"gate": None, "maintain": None})
    worker = SimpleNamespace(
        hostname="gate@here", concurrency=2, app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)), steps=[]
    )
    joined = Membership(worker)
    joined.start(worker)
    yield joined
    joined.stop(worker)


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


def test_a_worker_that_stops_claims_nothing_any_more(sessions: Sessions, member: Membership) -> None:
    member.stop(None)
    assert find_worker_id() is None
    assert get_row(sessions, member).stopped_at is not None


def test_a_worker_whose_name_another_one_took_says_so(
    sessions: Sessions, member: Membership, log: CapturingLogger
) -> None:
    with sessions.begin() as session:
        register_worker(session, name="gate@here", queues=["gate"], slots=1, devices=[])
    wait_until(lambda: any(call.args == ("worker.replaced",) for call in log.calls))


def test_a_database_that_is_away_neither_ends_a_worker_nor_keeps_it_from_stopping(
    sessions: Sessions, member: Membership, log: CapturingLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = sessionmaker(create_engine("postgresql://nobody@/nothing?host=/nowhere"))
    with monkeypatch.context() as patch:
        patch.setattr(process, "get_sessions", lambda: away)
        wait_until(lambda: any(call.args == ("worker.unseen",) for call in log.calls))
    before = get_row(sessions, member).seen_at
    wait_until(lambda: get_row(sessions, member).seen_at > before)
    with monkeypatch.context() as patch:
        patch.setattr(process, "get_sessions", lambda: away)
        member.stop(None)
    assert log.calls[-1].args == ("worker.leases_kept",)

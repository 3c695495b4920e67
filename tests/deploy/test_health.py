"""The health check of a worker looks at its row in the fleet."""

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Worker
from discovery_service.engine.workers import LOST_AFTER, Process, register_worker, stop_worker
from discovery_service.settings import get_settings
from tests.conftest import Database
from workers.health import find_fault


@pytest.fixture(autouse=True)
def _settings(database: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DISCOVERY__DB__URL", database.service_url)
    monkeypatch.setenv("DISCOVERY__REDIS__URL", redis_url)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def gate(sessions: Sessions) -> Worker:
    """A gate worker of this host that was just seen."""
    with sessions.begin() as session:
        return register_worker(
            session,
            name=f"gate@{socket.gethostname()}",
            queues=["gate"],
            slots=1,
            devices=[],
            process=Process("here", 1),
            has_ended=lambda _: True,
        )


@pytest.mark.usefixtures("gate")
def test_a_worker_that_was_just_seen_is_healthy_and_no_other_one() -> None:
    assert find_fault("gate") is None
    assert find_fault("propose") is not None


def test_a_worker_that_stopped_is_not_healthy(gate: Worker, sessions: Sessions) -> None:
    with sessions.begin() as session:
        stop_worker(session, gate.id)
    assert find_fault("gate") is not None


def test_a_worker_that_was_not_seen_for_a_minute_is_not_healthy(gate: Worker, sessions: Sessions) -> None:
    with sessions.begin() as session:
        seen_at = func.now() - LOST_AFTER - timedelta(seconds=1)
        session.execute(update(Worker).where(Worker.id == gate.id).values(seen_at=seen_at))
    assert find_fault("gate") is not None


def test_beat_is_not_healthy_when_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_fault("beat") is None
    monkeypatch.setenv("DISCOVERY__REDIS__URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    assert find_fault("beat") is not None

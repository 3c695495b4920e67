import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from structlog.testing import CapturingLogger

from discovery_service.db.sessions import Sessions
from discovery_service.engine import heartbeat as module
from discovery_service.engine.campaigns import cancel_campaign, pause_campaign
from discovery_service.engine.claim import LEASE, Claim, crash
from discovery_service.engine.heartbeat import RENEW_EVERY_S, heartbeat
from tests.engine.conftest import Stage
from tests.waiting import DEADLINE_S, wait_until

SHORT_LEASE = timedelta(seconds=0.1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heart that beats as fast as a test wants."""
    monkeypatch.setattr(module, "RENEW_EVERY_S", 0.02)


@pytest.fixture
def held(stage: Stage) -> Claim:
    return stage.add_held()


@pytest.fixture
def broken() -> Iterator[Sessions]:
    """Sessions of a database that is away."""
    engine = create_engine("postgresql://nobody@/nothing?host=/nowhere")
    yield sessionmaker(engine)
    engine.dispose()


def expiry(stage: Stage, held: Claim) -> datetime:
    expires_at = stage.get(held).lease_expires_at
    assert expires_at is not None
    return expires_at


def test_a_beat_comes_often_enough_for_a_lease_and_for_a_cancellation_seen_within_2_s() -> None:
    assert RENEW_EVERY_S < 2
    assert LEASE.total_seconds() > 3 * RENEW_EVERY_S


@pytest.mark.usefixtures("quick")
def test_the_lease_is_renewed_as_long_as_the_work_goes_on_and_no_longer(stage: Stage, held: Claim) -> None:
    with heartbeat(stage.sessions, held) as beating:
        for _ in range(2):
            before = expiry(stage, held)
            wait_until(lambda before=before: expiry(stage, held) > before)
        assert not beating.lost.is_set()
        assert not beating.cancel_requested.is_set()
    assert f"heartbeat-{held.id}" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.usefixtures("quick")
def test_a_cancellation_is_told_while_the_lease_is_kept(stage: Stage, held: Claim) -> None:
    with heartbeat(stage.sessions, held) as beating:
        with stage.sessions.begin() as session:
            cancel_campaign(session, stage.campaign_id)
        assert beating.cancel_requested.wait(DEADLINE_S)
        assert beating.hold.wait(DEADLINE_S)
        assert beating.stop.is_set()
        before = expiry(stage, held)
        wait_until(lambda: expiry(stage, held) > before)
        assert not beating.lost.is_set()


@pytest.mark.usefixtures("quick")
def test_a_pause_lets_the_work_finish_and_begin_nothing_more(stage: Stage, held: Claim) -> None:
    with heartbeat(stage.sessions, held) as beating:
        before = expiry(stage, held)
        wait_until(lambda: expiry(stage, held) > before)
        assert not beating.hold.is_set()
        with stage.sessions.begin() as session:
            pause_campaign(session, stage.campaign_id)
        assert beating.hold.wait(DEADLINE_S)
        before = expiry(stage, held)
        wait_until(lambda: expiry(stage, held) > before)
        assert not beating.stop.is_set()


@pytest.mark.usefixtures("quick")
def test_work_that_went_to_somebody_else_is_lost(stage: Stage, held: Claim) -> None:
    with heartbeat(stage.sessions, held) as beating:
        with stage.sessions.begin() as session:
            assert crash(session, held, "its worker was lost", counts=False)
        assert beating.hold.wait(DEADLINE_S)
        assert beating.lost.is_set()
        assert beating.stop.is_set()
        assert stage.claim(held.kind, held.id) is not None


@pytest.mark.usefixtures("quick")
def test_a_database_that_is_away_longer_than_the_lease_means_that_the_work_is_lost(
    held: Claim, broken: Sessions
) -> None:
    with heartbeat(broken, held, SHORT_LEASE) as beating:
        assert beating.lost.wait(DEADLINE_S)


@pytest.mark.usefixtures("quick")
def test_a_renewal_that_hangs_longer_than_the_lease_means_that_the_work_is_lost(stage: Stage, held: Claim) -> None:
    with stage.sessions.begin() as other, heartbeat(stage.sessions, held, SHORT_LEASE) as beating:
        other.get_one(held.kind.table, held.id, with_for_update=True)
        assert beating.lost.wait(DEADLINE_S)


@pytest.mark.usefixtures("quick")
def test_a_database_that_comes_back_in_time_does_no_harm(
    stage: Stage, held: Claim, broken: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(module, "log", log)
    before = expiry(stage, held)
    with heartbeat(broken, held) as beating:
        wait_until(lambda: any(call.args == ("heartbeat.missed",) for call in log.calls))
        monkeypatch.setattr(beating, "_sessions", stage.sessions)
        wait_until(lambda: expiry(stage, held) > before)
        assert not beating.lost.is_set()


def test_the_end_of_the_work_does_not_wait_for_the_next_beat(
    stage: Stage, held: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_EVERY_S", 3600.0)
    with heartbeat(stage.sessions, held):
        pass  # if it did wait, the time limit of every test would end this one

"""What a worker has come to is written under its claim, or not at all."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import workers.settling
from discovery_service.db.sessions import Sessions
from discovery_service.engine.claim import LEASE
from discovery_service.engine.heartbeat import Heartbeat
from tests.engine.conftest import Stage
from workers.settling import settle

pytestmark = pytest.mark.usefixtures("in_process")


class Settling:
    """A transaction that the server refuses with these codes, one after the other, before it does not."""

    def __init__(self, *codes: str) -> None:
        self.codes, self.tried = list(codes), 0

    def __call__(self, session: Session) -> int:
        self.tried += 1
        if self.codes:
            session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{self.codes.pop(0)}'; END $$"))
        return self.tried


@pytest.fixture
def beating(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    monkeypatch.setattr(workers.settling, "AGAIN_AFTER_S", 0.0)
    return Heartbeat(sessions, Stage(sessions).add_held(), LEASE)


def test_what_passes_by_itself_is_tried_again(beating: Heartbeat) -> None:
    codes = ("40P01", "40001", "55P03", "57P01", "57P03", "53100", "53200", "53300")
    assert settle(beating, Settling(*codes)) == len(codes) + 1


def test_a_connection_that_was_cut_is_tried_again(beating: Heartbeat, sessions: Sessions) -> None:
    tried = []

    def act(session: Session) -> int:
        own = session.scalar(text("SELECT pg_backend_pid()"))
        tried.append(own)
        if len(tried) == 1:
            with sessions.begin() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": own})
        return session.scalar(text("SELECT 7")) or 0

    assert settle(beating, act) == 7
    assert len(tried) == 2


@pytest.mark.parametrize("code", ["22012", "57014", "23505"])
def test_whatever_else_the_database_says_is_raised_at_once(beating: Heartbeat, code: str) -> None:
    settling = Settling(code)
    with pytest.raises(DBAPIError):
        settle(beating, settling)
    assert settling.tried == 1


def test_a_cancelled_one_is_not_tried_again_and_a_lost_one_not_at_all(beating: Heartbeat) -> None:
    beating.cancel_requested.set()
    cancelled = Settling("40P01")
    with pytest.raises(DBAPIError):
        settle(beating, cancelled)
    assert cancelled.tried == 1
    beating.lost.set()
    assert settle(beating, lost := Settling()) is None
    assert lost.tried == 0

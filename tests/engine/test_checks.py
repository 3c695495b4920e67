"""Dry runs as rows: as many as the gate can take, and none that nobody waits for."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import GateCheck
from discovery_service.domain.ids import uuid7
from discovery_service.engine import checks
from discovery_service.engine.checks import ANSWER_WITHIN, answer_check, ask_check, find_check, withdraw_check
from discovery_service.engine.dispatch import unit_of_work
from tests.conftest import RecordingBell


def ask(sessions: Sessions, bell: RecordingBell) -> UUID | None:
    check_id = uuid7()
    with unit_of_work(sessions, bell) as session:
        return check_id if ask_check(session, check_id, family="pairwise", source="", values={}) else None


def is_found(sessions: Sessions, check_id: UUID | None) -> bool:
    assert check_id is not None
    with sessions() as session:
        return find_check(session, check_id) is not None


def test_a_check_is_found_until_it_is_answered(sessions: Sessions, bell: RecordingBell) -> None:
    check_id = ask(sessions, bell)
    assert is_found(sessions, check_id)
    assert [ring[0] for ring in bell.rings] == [checks.CHECK_TASK]
    with sessions.begin() as session:
        assert check_id is not None
        answer_check(session, check_id, {"status": "accepted"})
    assert not is_found(sessions, check_id)


def test_a_check_is_not_judged_once_its_asker_has_gone(sessions: Sessions, bell: RecordingBell) -> None:
    late, withdrawn = ask(sessions, bell), ask(sessions, bell)
    with sessions.begin() as session:
        session.get_one(GateCheck, late).created_at = func.now() - ANSWER_WITHIN - timedelta(seconds=1)
        assert withdrawn is not None
        withdraw_check(session, withdrawn)
    assert not is_found(sessions, late)
    assert not is_found(sessions, withdrawn)


def test_only_so_many_wait_at_once_and_later_ones_find_a_place_again(
    sessions: Sessions, bell: RecordingBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST_WAITING", 2)
    first, _, third = (ask(sessions, bell) for _ in range(3))
    assert third is None
    assert len(bell.rings) == 2
    with sessions.begin() as session:
        assert len(session.scalars(select(GateCheck)).all()) == 2
        assert first is not None
        answer_check(session, first, {"status": "accepted"})
    assert ask(sessions, bell) is not None

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from discovery_service.db.tables import Campaign
from discovery_service.engine.dispatch import ring, unit_of_work
from discovery_service.engine.work import EVALUATION
from tests.conftest import RecordingBell
from tests.engine.conftest import Stage


def test_the_bell_is_rung_after_the_commit(stage: Stage) -> None:
    row_id = stage.add_work()
    seen: list[object] = []

    class LookingBell:
        def ring(self, rings: Any) -> None:
            seen.extend((list(rings), stage.get((EVALUATION, row_id)).rung_at))

    with unit_of_work(stage.sessions, LookingBell()) as session:
        ring(session, EVALUATION, row_id)
        assert seen == []
    rings, rung_at = seen
    assert rings == [("evaluate.train", "evaluate", str(row_id))]
    assert rung_at is not None


def test_nothing_is_rung_when_the_transaction_rolls_back(stage: Stage, bell: RecordingBell) -> None:
    row_id = stage.add_work()

    def fail_after_ringing() -> None:
        with unit_of_work(stage.sessions, bell) as session:
            ring(session, EVALUATION, row_id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_ringing()
    assert bell.rings == []
    assert stage.get((EVALUATION, row_id)).rung_at is None


def test_nothing_is_rung_when_the_commit_itself_fails(stage: Stage, bell: RecordingBell) -> None:
    row_id = stage.add_work()

    def fail_at_the_end() -> None:
        with unit_of_work(stage.sessions, bell) as session:
            ring(session, EVALUATION, row_id)
            session.get_one(Campaign, stage.campaign_id).created_by = row_id

    with pytest.raises(IntegrityError, match="fk_campaign_created_by"):
        fail_at_the_end()
    assert bell.rings == []


def test_a_row_is_rung_for_once_in_a_unit_of_work(stage: Stage, bell: RecordingBell) -> None:
    one, other = stage.add_work(), stage.add_work()
    with unit_of_work(stage.sessions, bell) as session:
        ring(session, EVALUATION, one, other)
        ring(session, EVALUATION, one)
        ring(session, EVALUATION)
    assert [row_id for _, _, row_id in bell.rings] == [str(one), str(other)]

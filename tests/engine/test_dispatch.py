from typing import Any

import pytest
from celery.exceptions import QueueNotFound
from sqlalchemy.exc import IntegrityError
from structlog.testing import CapturingLogger

from discovery_service.db.tables import Campaign
from discovery_service.engine import dispatch
from discovery_service.engine.dispatch import QUEUES, count_messages, is_broker_there, make_bell, ring, unit_of_work
from discovery_service.engine.work import EVALUATION, WORK_KINDS
from tests.conftest import RecordingBell
from tests.engine.conftest import Stage

NOWHERE = "redis://127.0.0.1:1/0"


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


def test_a_broker_that_is_away_does_not_fail_the_unit_of_work(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(dispatch, "log", log)
    rows = [stage.add_work() for _ in range(3)]
    with unit_of_work(stage.sessions, make_bell(NOWHERE)) as session:
        ring(session, EVALUATION, *rows)
    assert all(stage.get((EVALUATION, row_id)).rung_at is not None for row_id in rows)
    # One warning and no further try: each would take its time.
    assert [(call.method_name, call.args) for call in log.calls] == [("warning", ("bell.broker_away",))]


def test_whether_the_broker_answers_is_known(redis_url: str) -> None:
    assert is_broker_there(make_bell(redis_url))
    assert not is_broker_there(make_bell(NOWHERE))


def test_a_message_lies_in_its_own_queue_and_holds_only_the_rows_id(
    stage: Stage, redis_url: str, redis_client: Any
) -> None:
    bell = make_bell(redis_url)
    with unit_of_work(stage.sessions, bell) as session:
        for kind in WORK_KINDS:
            ring(session, kind, stage.add_work(kind))
    assert count_messages(bell) == {**dict.fromkeys(QUEUES, 0), "propose": 1, "gate": 1, "evaluate": 1}
    with bell.app.connection_for_read() as connection:
        for kind in WORK_KINDS:
            message = connection.SimpleQueue(kind.queue, no_ack=True).get(block=False)
            args, kwargs, _ = message.payload
            assert message.headers["task"] == kind.task
            assert message.content_type == "application/json"
            assert stage.get((kind, args[0]))
            assert kwargs == {}


def test_a_wiped_broker_takes_messages_as_before(stage: Stage, redis_url: str, redis_client: Any) -> None:
    bell = make_bell(redis_url)
    with unit_of_work(stage.sessions, bell) as session:
        ring(session, EVALUATION, stage.add_work())
    redis_client.flushdb()
    assert count_messages(bell)["evaluate"] == 0
    with unit_of_work(stage.sessions, bell) as session:
        ring(session, EVALUATION, stage.add_work())
    assert count_messages(bell)["evaluate"] == 1


def test_a_queue_that_nobody_consumes_is_not_made_by_a_misspelling(redis_url: str) -> None:
    bell = make_bell(redis_url)
    with pytest.raises(QueueNotFound, match="evalute"):
        bell.app.send_task("evaluate.train", args=["x"], queue="evalute")

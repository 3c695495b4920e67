from datetime import timedelta
from threading import Thread

import pytest
from celery import Celery
from celery.signals import task_postrun
from kombu.asynchronous import Hub
from pydantic import SecretStr

from discovery_service.engine.claim import LEASE
from discovery_service.engine.dispatch import MAINTAIN_QUEUE, QUEUES, SWEEP_TASK
from discovery_service.errors import UsageError
from discovery_service.settings import RedisSettings, Settings
from workers import celery_app
from workers.celery_app import Turning, make_app
from workers.supervisor.zygote import START_WITHIN_S


@pytest.fixture
def app() -> Celery:
    return make_app(Settings(redis=RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"))))


def test_a_message_is_acknowledged_before_its_task_runs_and_leaves_no_result(app: Celery) -> None:
    """Redis hands a message out again that is not acknowledged in an hour; a lease is what brings work back."""
    assert not app.conf.task_acks_late
    assert app.conf.task_ignore_result
    assert app.conf.result_backend is None


def test_a_process_of_the_pool_has_time_to_open_its_jail(app: Celery) -> None:
    assert app.conf.worker_proc_alive_timeout > START_WITHIN_S


def test_only_json_is_sent_and_taken(app: Celery) -> None:
    assert app.conf.task_serializer == "json"
    assert app.conf.accept_content == ["json"]


def test_there_are_four_queues_and_no_message_makes_another(app: Celery) -> None:
    assert {queue.name for queue in app.conf.task_queues} == set(QUEUES) == {"propose", "gate", "evaluate", "maintain"}
    assert not app.conf.task_create_missing_queues


def test_the_sweep_comes_often_enough_for_leases_and_never_piles_up(app: Celery) -> None:
    (entry,) = app.conf.beat_schedule.values()
    assert (entry["task"], entry["options"]["queue"]) == (SWEEP_TASK, MAINTAIN_QUEUE)
    assert timedelta(seconds=entry["schedule"]) < LEASE
    # By two clocks, so that a tight limit would drop them all where these differ.
    assert 60 <= entry["options"]["expires"] <= 100 * entry["schedule"]


def test_every_task_of_the_schedule_is_known(app: Celery) -> None:
    app.loader.import_default_modules()
    app.finalize()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)


def test_the_end_of_a_task_turns_the_loop_whatever_else_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it turns in an hour only; at each connection to the broker the step is registered anew."""
    monkeypatch.setattr(celery_app, "TURN_EVERY_S", 3_600.0)
    turning = Turning(None)
    for _ in range(2):
        hub = Hub()
        turning.register_with_event_loop(None, hub)
        before = len(hub.timer)
        ended = Thread(target=task_postrun.send, args=(None,))
        ended.start()
        hub.run_once()
        ended.join()
        assert len(hub.timer) == before + len(celery_app.TURNS_AFTER_TASK_S)
        hub.close()


def test_without_a_broker_the_setting_is_named() -> None:
    with pytest.raises(UsageError, match="DISCOVERY__REDIS__URL"):
        make_app(Settings())

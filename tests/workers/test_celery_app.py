from datetime import timedelta

import pytest
from celery import Celery
from pydantic import SecretStr

from discovery_service.engine.claim import LEASE
from discovery_service.engine.dispatch import MAINTAIN_QUEUE, QUEUES, SWEEP_TASK
from discovery_service.errors import UsageError
from discovery_service.settings import RedisSettings, Settings
from workers.celery_app import make_app
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
    assert entry["options"]["expires"] <= entry["schedule"]


def test_every_task_of_the_schedule_is_known(app: Celery) -> None:
    app.loader.import_default_modules()
    app.finalize()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)


def test_without_a_broker_the_setting_is_named() -> None:
    with pytest.raises(UsageError, match="DISCOVERY__REDIS__URL"):
        make_app(Settings())

"""The bell: messages through Celery and Redis. Apart from `dispatch`, because loading Celery takes .15 s."""

from collections.abc import Iterable
from typing import Any

import structlog
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from discovery_service.engine.broker import verify
from discovery_service.engine.dispatch import QUEUES, Ring

log = structlog.get_logger(__name__)


def broker_config(redis_url: str, *, answers_within_s: float = 10) -> dict[str, Any]:
    """What every Celery app of the service shares, the API's that only sends and the workers'."""
    return {
        "broker_url": verify(redis_url),
        "task_queues": [Queue(name) for name in QUEUES],
        "task_create_missing_queues": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        # The row is the truth: a message that cannot be sent now is not worth waiting for.
        "task_publish_retry": False,
        "broker_transport_options": {"socket_connect_timeout": 2, "socket_timeout": answers_within_s, "max_retries": 0},
    }


class CeleryBell:
    """Rings through a Celery app."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def ring(self, rings: Iterable[Ring]) -> None:
        for task, queue, row_id in rings:
            try:
                self.app.send_task(task, args=[row_id], queue=queue)
            except OperationalError as error:
                log.warning("bell.broker_away", task=task, error=str(error))
                return

    def is_heard(self) -> bool:
        try:
            with self.app.connection_for_write() as connection:
                # Unlike `connection.channel()`, which tries again after 2 s, this heeds `max_retries`.
                connection.default_channel.client.ping()
        except (OperationalError, RedisError) as error:
            log.warning("broker.away", error=str(error))
            return False
        return True

    def count_messages(self) -> dict[str, int]:
        """How many messages wait in each queue."""
        with self.app.connection_for_write() as connection:
            broker = connection.default_channel.client
            return {queue: broker.llen(queue) for queue in QUEUES}


def make_bell(redis_url: str) -> CeleryBell:
    """The bell of a process that only sends, such as the API, whose client waits meanwhile."""
    app = Celery("discovery_service", set_as_current=False)
    app.conf.update(broker_config(redis_url, answers_within_s=2))
    return CeleryBell(app)

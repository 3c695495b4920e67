"""Names of queues and tasks, and the bell: messages that tell workers to look, sent after the commit.

A message carries nothing but a row's id. Lost, late and doubled ones do no harm; the sweeper rings again.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

import structlog
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import func, update
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.engine.work import WORK_KINDS, WorkKind

log = structlog.get_logger(__name__)

MAINTAIN_QUEUE = "maintain"
SWEEP_TASK = "maintain.sweep"
QUEUES = (*(kind.queue for kind in WORK_KINDS), MAINTAIN_QUEUE)

_RINGS = "rings"
Ring = tuple[str, str, str]
"""Task, queue, id of the row."""


def broker_config(redis_url: str) -> dict[str, Any]:
    """What every Celery app of the service shares, the API's that only sends and the workers'."""
    return {
        "broker_url": redis_url,
        "task_queues": [Queue(name) for name in QUEUES],
        "task_create_missing_queues": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        # The row is the truth: a message that cannot be sent now is not worth waiting for.
        "task_publish_retry": False,
        "broker_transport_options": {"socket_connect_timeout": 2, "socket_timeout": 10, "max_retries": 0},
    }


class Bell(Protocol):
    def ring(self, rings: Iterable[Ring]) -> None: ...


class CeleryBell:
    """Rings through a Celery app; a broker that is away is logged and left to the sweeper."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def ring(self, rings: Iterable[Ring]) -> None:
        for task, queue, row_id in rings:
            try:
                self.app.send_task(task, args=[row_id], queue=queue)
            except OperationalError as error:
                log.warning("bell.broker_away", task=task, error=str(error))
                return


def is_broker_there(bell: CeleryBell) -> bool:
    """Whether the broker answers just now."""
    try:
        with bell.app.connection_for_write() as connection:
            # Unlike `connection.channel()`, which tries again after 2 s, this heeds `max_retries`.
            connection.default_channel.client.ping()
    except (OperationalError, RedisError) as error:
        log.warning("broker.away", error=str(error))
        return False
    return True


def count_messages(bell: CeleryBell) -> dict[str, int]:
    """How many messages wait in each queue."""
    with bell.app.connection_for_write() as connection:
        broker = connection.default_channel.client
        return {queue: broker.llen(queue) for queue in QUEUES}


def make_bell(redis_url: str) -> CeleryBell:
    """The bell of a process that only sends, such as the API."""
    app = Celery("discovery_service", set_as_current=False)
    app.conf.update(broker_config(redis_url))
    return CeleryBell(app)


def ring(session: Session, kind: WorkKind, *row_ids: UUID) -> None:
    """Note when the rows were rung for, and send their messages after the commit."""
    if not row_ids:
        return
    session.execute(
        update(kind.table)
        .where(kind.table.id.in_(row_ids))
        .values(rung_at=func.now())
        .execution_options(synchronize_session=False)
    )
    rings = session.info.setdefault(_RINGS, {})
    rings.update({(kind.task, kind.queue, str(row_id)): None for row_id in row_ids})


@contextmanager
def unit_of_work(sessions: Sessions, bell: Bell) -> Iterator[Session]:
    """One request or task, one transaction. Rings are sent after the commit, and not at all without one."""
    with sessions.begin() as session:
        yield session
    bell.ring(session.info.pop(_RINGS, {}))

"""This worker's row in the fleet: made before it consumes, refreshed while it lives, closed with its leases at the end.

A step of Celery's worker, started after the pool and before the consumer, so stopped between them: by then no new
message arrives, and tasks that still run learn by their heartbeat that their leases are gone.
"""

import threading
from typing import Any
from uuid import UUID

import structlog
from celery import bootsteps
from sqlalchemy.exc import SQLAlchemyError

from discovery_service.engine.workers import register_worker, see_worker, stop_worker
from workers.process import task_unit

log = structlog.get_logger(__name__)

SEE_EVERY_S = 5.0

_worker_id: UUID | None = None


def find_worker_id() -> UUID | None:
    """Who claims in this process; None once it is to stop, so that nothing new starts."""
    return _worker_id


class Membership(bootsteps.StartStopStep):
    """One incarnation of this worker, from its registration to its end."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.name = worker.hostname
        queues = sorted(worker.app.amqp.queues.consume_from)
        # Before the pool forks: its processes inherit the id.
        with task_unit() as session:
            registered = register_worker(session, name=self.name, queues=queues, slots=worker.concurrency, devices=[])
        self.id = registered.id
        global _worker_id
        _worker_id = self.id
        self._ended = threading.Event()
        self._refreshing = threading.Thread(target=self._refresh, name="fleet", daemon=True)

    def start(self, worker: Any) -> None:  # noqa: ARG002 - Celery's signature
        """After the pool has forked: a thread and a fork at once are asking for trouble."""
        self._refreshing.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        global _worker_id
        _worker_id = None
        self._ended.set()
        self._refreshing.join()
        try:
            with task_unit() as session:
                stop_worker(session, self.id)
        except SQLAlchemyError as error:
            # The sweeper gives the leases back when they lapse.
            log.warning("worker.leases_kept", worker=self.name, error=str(error))

    terminate = stop

    def _refresh(self) -> None:
        while not self._ended.wait(SEE_EVERY_S):
            try:
                with task_unit() as session:
                    is_current = see_worker(session, self.id)
            except SQLAlchemyError as error:
                log.warning("worker.unseen", worker=self.name, error=str(error))
                continue
            if not is_current:
                log.warning("worker.replaced", worker=self.name, hint="another worker has this name; give each its own")

"""This worker's row in the fleet: made before it consumes, refreshed while it lives, closed with its leases at the end.

A step of Celery's worker, started after the pool and before the consumer, so stopped between them: by then no new
message arrives. What happens to the tasks that still run: docs/decisions/0006.
"""

import os
import socket
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from celery import bootsteps
from celery.signals import worker_shutdown
from celery.worker import state
from sqlalchemy.exc import SQLAlchemyError

from discovery_service.db.sessions import limit_statements
from discovery_service.engine.work import EVALUATION
from discovery_service.engine.workers import Process, register_worker, see_worker, stop_worker
from workers.process import task_unit
from workers.slots import get_slots

log = structlog.get_logger(__name__)

SEE_EVERY_S = 5.0
STATEMENT_TIMEOUT_S = 5.0
# How long an orderly stop lets a gate run or a model's reply come to its end. A container is killed after 30 s, and
# tasks need some seconds to see that their leases are gone.
GRACE_S = 20.0
EXIT_REPLACED = 1

_worker_id: UUID | None = None
_leaving = threading.Event()


def find_worker_id() -> UUID | None:
    """Who claims in this process; None once it is to stop, so that nothing new starts.

    A forked process of the pool keeps the id, and ends what the pool had handed to it already.
    """
    return _worker_id


def wait_to_leave(timeout_s: float) -> None:
    """Return after that long, and at once when this worker is to stop."""
    _leaving.wait(timeout_s)


def _claim_nothing_more() -> None:
    global _worker_id
    _worker_id = None
    _leaving.set()


def has_ended(process: Process) -> bool:
    """Whether it is a process of this host that runs no more; of another host nobody here can tell."""
    if process.host != socket.gethostname():
        return False
    return process.pid == os.getpid() or not Path(f"/proc/{process.pid}").exists()


class Membership(bootsteps.StartStopStep):
    """One incarnation of this worker, from its registration to its end."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.name = worker.hostname
        queues = sorted(worker.app.amqp.queues.consume_from)
        self._trains = EVALUATION.queue in queues
        # Before the pool forks: its processes inherit the id.
        with task_unit() as session:
            registered = register_worker(
                session,
                name=self.name,
                queues=queues,
                slots=worker.concurrency,
                devices=[each.document() for each in get_slots().devices] if self._trains else [],
                process=Process(socket.gethostname(), os.getpid()),
                has_ended=has_ended,
            )
        self.id = registered.id
        global _worker_id
        _worker_id = self.id
        _leaving.clear()
        self._ended = threading.Event()
        self._refreshing = threading.Thread(target=self._refresh, name="fleet", daemon=True)
        self._grace = threading.Timer(GRACE_S, self._leave)
        self._grace.daemon = True
        worker_shutdown.connect(self._end, sender=worker, weak=False)

    def start(self, worker: Any) -> None:  # noqa: ARG002 - Celery's signature
        """After the pool has forked: a thread and a fork at once are asking for trouble."""
        self._refreshing.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        """Claim nothing more. Trainings take too long to wait for; other work may come to its end first."""
        _claim_nothing_more()
        if self._trains:
            self._leave()
        # Also then: a claim that was under way at that moment is freed the second time.
        self._grace.start()

    def terminate(self, worker: Any) -> None:  # noqa: ARG002
        _claim_nothing_more()
        self._leave()

    def _end(self, **_: Any) -> None:
        """The pool has stopped: nothing of this worker runs any more."""
        self._grace.cancel()
        self._leave()

    def _leave(self) -> None:
        """Close the row and free what is still held. A second time there is nothing left to do."""
        self._ended.set()
        if self._refreshing.is_alive():
            self._refreshing.join(STATEMENT_TIMEOUT_S)
        try:
            with task_unit() as session:
                limit_statements(session, STATEMENT_TIMEOUT_S)
                stop_worker(session, self.id)
        except SQLAlchemyError as error:
            # The sweeper gives the leases back when they lapse.
            log.warning("worker.leases_kept", worker=self.name, error=str(error))

    def _refresh(self) -> None:
        while not self._ended.wait(SEE_EVERY_S):
            try:
                with task_unit() as session:
                    limit_statements(session, STATEMENT_TIMEOUT_S)
                    is_current = see_worker(session, self.id)
            except SQLAlchemyError as error:
                log.warning("worker.unseen", worker=self.name, error=str(error))
                continue
            if not is_current:
                self._give_way()
                return

    def _give_way(self) -> None:
        _claim_nothing_more()
        log.error("worker.replaced", worker=self.name, hint="another worker took this name; give each its own --name")
        state.should_stop = EXIT_REPLACED

"""The Celery app of workers and beat: settings, the beat schedule, logs through structlog.

Messages are acknowledged before the task runs and no result is kept: what is lost comes back by the lease of its row.
"""

import contextlib
import logging
import os
from typing import Any

import structlog
from celery import Celery, bootsteps
from celery.signals import setup_logging, task_postrun, task_prerun

from discovery_service.engine.bell import broker_config
from discovery_service.engine.dispatch import MAINTAIN_QUEUE, SWEEP_TASK
from discovery_service.settings import Settings, required

TASK_MODULES = ("workers.tasks.maintain", "workers.tasks.propose", "workers.tasks.gate", "workers.tasks.evaluate")

# A third of a lease: work of a lost worker waits at most 20 s.
SWEEP_EVERY_S = 5.0
SWEEP_KEPT_S = 300.0
"""By beat's clock and the gate worker's: what these differ by is no reason to drop every sweep, without which nobody
finds what a lost worker held. Nobody there, no more than sixty wait."""
# A process of the gate's pool is up once its jail is open. By default Celery kills one that takes 4 s.
UP_WITHIN_S = 150.0
# How long tasks may take to see that they have lost their leases, once somebody has asked twice for the end.
SOFT_SHUTDOWN_S = 3.0
# At info they write a line or two for every message, so for every sweep; rows and events tell more.
CHATTY_LOGGERS = ("celery.beat", "celery.worker.strategy", "celery.app.trace")

# A free slot of a worker that does not prefetch is noticed at the next turn of Celery's loop, which comes only once a
# second by itself: 24 short tasks on two slots took 12 s, and take 1.5 s so.
TURN_EVERY_S = 0.05
# A task's end is told a moment before Celery takes its slot as free. With these turns a slot has the next message 3 ms
# after it has ended a training, without them 31 ms (medians of a campaign on two slots).
TURNS_AFTER_TASK_S = (0.001, 0.003, 0.01)


class Turning(bootsteps.StartStopStep):
    """Keeps the worker's loop turning while no message arrives, and turns it at once when a task has ended."""

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._hears, self._tells = os.pipe()
        for end in (self._hears, self._tells):
            os.set_blocking(end, False)
        task_postrun.connect(self._tell)

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:  # noqa: ARG002 - Celery's signature
        """At each connection to the broker anew."""
        hub.call_repeatedly(TURN_EVERY_S, lambda: None)
        hub.add_reader(self._hears, self._turn, hub)

    def _tell(self, **_: Any) -> None:
        """From whichever thread or process has had the task. A pipe that is full has told already."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._tells, b".")

    def _turn(self, hub: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._hears, 4096)
        for seconds in TURNS_AFTER_TASK_S:
            hub.call_later(seconds, lambda: None)


def make_app(settings: Settings) -> Celery:
    app = Celery("discovery_service.workers", include=TASK_MODULES)
    app.conf.update(broker_config(required(settings.redis.url, "DISCOVERY__REDIS__URL")))
    app.conf.update(
        task_acks_late=False,
        # One message too many would wait behind a training of minutes while another worker idles.
        worker_prefetch_multiplier=1,
        # Concerns late acknowledgement, so nothing here; but False warns at each lost connection.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_S,
        worker_proc_alive_timeout=UP_WITHIN_S,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        beat_schedule={
            "sweep": {
                "task": SWEEP_TASK,
                "schedule": SWEEP_EVERY_S,
                "options": {"queue": MAINTAIN_QUEUE, "expires": SWEEP_KEPT_S},
            }
        },
        # In memory: a schedule of seconds has nothing to remember, and no file lands where beat was started.
        beat_scheduler="celery.beat:Scheduler",
    )
    app.steps["worker"].add(Turning)
    return app


@setup_logging.connect
def _keep_our_logs(loglevel: int, **_: Any) -> None:
    """Celery installs handlers of its own unless somebody listens here; `configure_logs` has run already."""
    if loglevel > logging.DEBUG:
        for name in CHATTY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)


@task_prerun.connect
def _bind_ids(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.bind_contextvars(worker=task.request.hostname, task=task.name, task_id=task_id)


@task_postrun.connect
def _unbind_ids(**_: Any) -> None:
    structlog.contextvars.unbind_contextvars("worker", "task", "task_id")

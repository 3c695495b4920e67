"""Starts a worker in the shape that its kind of work needs."""

import warnings
from dataclasses import dataclass
from typing import Literal

from celery.exceptions import SecurityWarning
from psycopg.errors import UndefinedTable
from sqlalchemy.exc import OperationalError, ProgrammingError

from discovery_service.engine.dispatch import MAINTAIN_QUEUE
from discovery_service.engine.work import CANDIDATE, EVALUATION, EXCHANGE
from discovery_service.errors import UsageError
from discovery_service.logs import configure_logs
from discovery_service.settings import CALLS_AT_ONCE, get_settings
from workers.celery_app import make_app
from workers.fleet import Membership
from workers.kinds import WorkerKind, default_name
from workers.slots import get_slots
from workers.supervisor.processors import count_processors

MOST_GATES = 8


@dataclass(frozen=True)
class Shape:
    """How a kind of worker runs its tasks."""

    queues: tuple[str, ...]
    pool: Literal["threads", "prefork"]
    slots: int
    prefetches: bool = True


def shape_of(kind: WorkerKind) -> Shape:
    cores = count_processors()
    match kind:
        case WorkerKind.PROPOSE:
            # They wait for the model's endpoint, hardly for the processor.
            return Shape((EXCHANGE.queue,), "threads", slots=CALLS_AT_ONCE)
        case WorkerKind.GATE:
            # Each process has a jail of its own, of .3 GB.
            return Shape((CANDIDATE.queue, MAINTAIN_QUEUE), "prefork", slots=min(cores, MOST_GATES))
        case WorkerKind.EVALUATE:
            # Each thread supervises one child. A training is long: a message that waits behind one is better off
            # in the queue, where another machine can take it.
            return Shape((EVALUATION.queue,), "threads", slots=len(get_slots().devices), prefetches=False)


def run_worker(kind: WorkerKind, name: str | None = None) -> int:
    """Consume the kind's queues until told to stop; Celery's exit code."""
    # It tells root of the danger of pickled messages; ours are JSON, and nothing else is accepted.
    warnings.simplefilter("ignore", SecurityWarning)
    settings = get_settings()
    configure_logs(settings.log)
    app, shape = make_app(settings), shape_of(kind)
    app.conf.worker_disable_prefetch = not shape.prefetches
    app.steps["worker"].add(Membership)
    try:
        worker = app.Worker(
            hostname=name or default_name(kind),
            queues=shape.queues,
            pool=shape.pool,
            concurrency=shape.slots,
            loglevel=settings.log.level,
            quiet=True,
            # Workers know of each other by their rows; over the broker they would only chat (1 s at each start).
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
        )
    except OperationalError as error:
        why = str(error.orig).strip().splitlines()[0]
        raise UsageError(f"The database cannot be reached: {why}. Check DISCOVERY__DB__URL.") from error
    except ProgrammingError as error:
        if isinstance(error.orig, UndefinedTable):
            raise UsageError("The database has no tables yet. Run `discovery db upgrade`.") from error
        raise
    worker.start()
    return worker.exitcode or 0

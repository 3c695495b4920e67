"""The commands `discovery worker` and `discovery beat`; they join the CLI through its entry-point group."""

import os
import socket
import warnings
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated, Literal

import typer
from psycopg.errors import UndefinedTable
from sqlalchemy.exc import OperationalError, ProgrammingError

from discovery_service.engine.dispatch import MAINTAIN_QUEUE
from discovery_service.engine.work import CANDIDATE, EVALUATION, EXCHANGE
from discovery_service.errors import UsageError
from discovery_service.logs import configure_logs
from discovery_service.settings import Settings, get_settings


class WorkerKind(StrEnum):
    PROPOSE = "propose"
    GATE = "gate"
    EVALUATE = "evaluate"


@dataclass(frozen=True)
class Shape:
    """How a kind of worker runs its tasks."""

    queues: tuple[str, ...]
    pool: Literal["threads", "prefork"]
    slots: int
    prefetches: bool = True


def shape_of(kind: WorkerKind, settings: Settings) -> Shape:
    cores = len(os.sched_getaffinity(0))
    match kind:
        case WorkerKind.PROPOSE:
            # They wait for the model's endpoint, hardly for the processor.
            return Shape((EXCHANGE.queue,), "threads", slots=8)
        case WorkerKind.GATE:
            return Shape((CANDIDATE.queue, MAINTAIN_QUEUE), "prefork", slots=cores)
        case WorkerKind.EVALUATE:
            # Each thread supervises one child. A training is long: a message that waits behind one is better off
            # in the queue, where another machine can take it.
            return Shape((EVALUATION.queue,), "threads", slots=settings.worker.slots or cores, prefetches=False)


def run_worker(kind: WorkerKind, name: str | None = None) -> int:
    """Consume the kind's queues until told to stop; Celery's exit code."""
    from celery.exceptions import SecurityWarning

    from workers.celery_app import make_app
    from workers.fleet import Membership

    # It tells root of the danger of pickled messages; ours are JSON, and nothing else is accepted.
    warnings.simplefilter("ignore", SecurityWarning)
    settings = get_settings()
    configure_logs(settings.log)
    app, shape = make_app(settings), shape_of(kind, settings)
    app.conf.worker_disable_prefetch = not shape.prefetches
    app.steps["worker"].add(Membership)
    try:
        worker = app.Worker(
            hostname=name or f"{kind}@{socket.gethostname()}",
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


def worker(
    kind: Annotated[WorkerKind, typer.Argument(help="Which queue to work on.")],
    name: Annotated[
        str | None,
        typer.Option(help="Name of this worker, one of its own for each; KIND@HOST unless given."),
    ] = None,
) -> None:
    """Take work of one kind from its queue until stopped."""
    raise typer.Exit(run_worker(kind, name))


def beat() -> None:
    """Send the periodic tasks. One is enough; a second one does no harm."""
    from workers.celery_app import make_app

    settings = get_settings()
    configure_logs(settings.log)
    make_app(settings).Beat(quiet=True, loglevel=settings.log.level).run()


def register(app: typer.Typer) -> None:
    """Add the commands, unless what workers execute is not installed, as in the API's image."""
    if find_spec("torch") is None:
        return
    app.command()(worker)
    app.command()(beat)

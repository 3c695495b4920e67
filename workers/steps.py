"""The next step of a campaign, after whatever has just happened to it, in a transaction of its own.

So a measurement is stored whatever becomes of the step, and a step that was lost is taken by the sweep.
"""

import time
from functools import cache
from queue import Queue
from threading import Thread
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from discovery_service.db.sessions import passes_by_itself
from discovery_service.engine.advance import advance
from discovery_service.engine.campaigns import pause_for
from discovery_service.engine.claim import storable
from workers.process import task_unit

# A step locks its campaign for some 50 ms, and a claim waits for that: 37 ms in the mean where the step of a training
# began at once, 6 ms where the slot that has become free claims first.
AFTER_S = 0.025

log = structlog.get_logger(__name__)


def take_step(campaign_id: UUID, finished: UUID | None = None) -> None:
    """`finished` is the evaluation that has just ended. A step that fails by our fault pauses the campaign."""
    try:
        with task_unit() as session:
            advance(session, campaign_id, finished)
    except Exception as error:
        if isinstance(error, DBAPIError) and passes_by_itself(error):
            log.warning("step.left_to_the_sweep", campaign=str(campaign_id), error=str(error.orig))
            return
        log.exception("step.failed", campaign=str(campaign_id))
        # Of what the database refuses SQLAlchemy tells with statement and parameters, which fill a page.
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        why = storable(f"{type(cause).__name__}: {cause}".strip())
        reason = f"The service failed at the next step of campaign {campaign_id}: {why}. Nothing measured is lost;"
        with task_unit() as session:
            pause_for(session, campaign_id, f"{reason} the worker's log has the rest, under step.failed.")


def take_step_soon(campaign_id: UUID, finished: UUID) -> None:
    """In a thread of this process, one after the other: a slot's own has the next training to begin with.

    A step that waits when the process ends is lost, and the sweep takes it.
    """
    get_waiting().put((campaign_id, finished))


@cache
def get_waiting() -> Queue[tuple[UUID, UUID]]:
    waiting: Queue[tuple[UUID, UUID]] = Queue()
    Thread(target=_take_all, args=(waiting,), name="steps", daemon=True).start()
    return waiting


def _take_all(waiting: Queue[tuple[UUID, UUID]]) -> None:
    while True:
        campaign_id, finished = waiting.get()
        time.sleep(AFTER_S)
        try:
            take_step(campaign_id, finished)
        except Exception:  # not even the pause could be written; the sweep tries again
            log.exception("step.lost", campaign=str(campaign_id))
        finally:
            waiting.task_done()

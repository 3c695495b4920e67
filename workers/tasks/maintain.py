"""What beat sends: the sweep, with the steps of campaigns that nobody has taken; and a step that somebody rang for."""

from uuid import UUID

import structlog
from celery import shared_task

from discovery_service.engine import sweep as engine_sweep
from discovery_service.engine.advance import list_underway
from discovery_service.engine.dispatch import ADVANCE_TASK, SWEEP_TASK
from workers.process import get_bell, task_unit
from workers.steps import take_step

log = structlog.get_logger(__name__)


@shared_task(name=SWEEP_TASK)
def sweep() -> None:
    messages_waiting = get_bell().count_messages()
    with task_unit() as session:
        swept = engine_sweep.sweep(session, messages_waiting=messages_waiting)
        underway = list_underway(session)
    if swept.expired or swept.rung:
        log.info("swept", expired=swept.expired, rung=swept.rung)
    for campaign_id in underway:
        try:
            take_step(campaign_id)
        except Exception:  # not even the pause could be written; the next sweep tries again, and others go on now
            log.exception("sweep.step_failed", campaign=str(campaign_id))


@shared_task(name=ADVANCE_TASK)
def advance(campaign_id: str) -> None:
    take_step(UUID(campaign_id))

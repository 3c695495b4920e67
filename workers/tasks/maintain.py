"""What beat sends: the sweep."""

import structlog
from celery import shared_task

from discovery_service.engine import sweep as engine_sweep
from discovery_service.engine.dispatch import SWEEP_TASK
from workers.process import get_bell, task_unit

log = structlog.get_logger(__name__)


@shared_task(name=SWEEP_TASK)
def sweep() -> None:
    messages_waiting = get_bell().count_messages()
    with task_unit() as session:
        swept = engine_sweep.sweep(session, messages_waiting=messages_waiting)
    if swept.expired or swept.rung:
        log.info("swept", expired=swept.expired, rung=swept.rung)

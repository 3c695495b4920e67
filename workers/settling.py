"""Writes what a worker has come to under its claim: a database away for seconds costs no training and no reply."""

from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from discovery_service.db.sessions import passes_by_itself
from discovery_service.engine.heartbeat import Heartbeat
from workers.process import task_unit

log = structlog.get_logger(__name__)

T = TypeVar("T")

AGAIN_AFTER_S = 1.0


def settle(beating: Heartbeat, act: Callable[[Session], T]) -> T | None:
    """One transaction; None once the claim is lost."""
    while not beating.lost.is_set():
        try:
            with task_unit() as session:
                return act(session)
        except DBAPIError as error:
            if not passes_by_itself(error) or beating.cancel_requested.is_set():
                raise
            log.warning("settle.again", error=str(error.orig))
            beating.stop.wait(AGAIN_AFTER_S)
    return None

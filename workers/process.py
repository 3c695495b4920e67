"""What the tasks of one process share: sessions and the bell, made in the process itself, never inherited by a fork."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from celery import current_app
from celery.signals import worker_process_init
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions, make_sessions
from discovery_service.engine.bell import CeleryBell
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.settings import get_settings, required


@cache
def get_sessions() -> Sessions:
    db = get_settings().db
    return make_sessions(required(db.url, "DISCOVERY__DB__URL"), pool_size=db.pool_size)


def get_bell() -> CeleryBell:
    return CeleryBell(current_app)


@contextmanager
def task_unit() -> Iterator[Session]:
    """One transaction; its rings are sent after the commit."""
    with unit_of_work(get_sessions(), get_bell()) as session:
        yield session


@worker_process_init.connect
def _leave_parents_connections(**_: Any) -> None:
    if get_sessions.cache_info().currsize:
        get_sessions().kw["bind"].dispose(close=False)
        get_sessions.cache_clear()

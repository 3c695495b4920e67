"""Dry runs through the gate: asked for as a row, answered by a worker while somebody waits, told by NOTIFY."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import GateCheck
from discovery_service.engine.dispatch import ring_task
from discovery_service.engine.work import CANDIDATE

CHECK_CHANNEL = "gate_check"
CHECK_TASK = "gate.check"

ANSWER_WITHIN = timedelta(seconds=8)
"""Clients commonly give up after 10 s."""
MOST_WAITING = 16
"""They stand in one queue with the candidates of campaigns: about 3 s of one gate process."""


def ask_check(session: Session, check_id: UUID, *, family: str, source: str, values: Mapping[str, float]) -> bool:
    """Have a source judged. False: too many wait already, and this one is not among them."""
    # One at a time, so that the count holds.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext("gate_check"))))
    waiting = session.scalar(select(func.count()).select_from(GateCheck).where(*_is_waited_for())) or 0
    if waiting >= MOST_WAITING:
        return False
    session.add(GateCheck(id=check_id, family=family, source=source, values=dict(values)))
    session.flush()
    ring_check(session, check_id)
    return True


def ring_check(session: Session, check_id: UUID) -> None:
    ring_task(session, CHECK_TASK, CANDIDATE.queue, check_id)


def find_check(session: Session, check_id: UUID) -> GateCheck | None:
    """None when nobody waits for it any more, or it is answered already: messages may come late or twice."""
    return session.scalar(select(GateCheck).where(GateCheck.id == check_id, *_is_waited_for()))


def answer_check(session: Session, check_id: UUID, answer: dict[str, Any]) -> None:
    found = session.get(GateCheck, check_id, with_for_update=True)
    if found is None or found.answered_at is not None:
        return
    found.answer, found.answered_at = answer, func.now()
    session.execute(select(func.pg_notify(CHECK_CHANNEL, str(check_id))))


def find_answer(session: Session, check_id: UUID) -> dict[str, Any] | None:
    return session.scalar(select(GateCheck.answer).where(GateCheck.id == check_id))


def withdraw_check(session: Session, check_id: UUID) -> None:
    """Whoever asked waits no longer: no worker need look at it."""
    session.execute(delete(GateCheck).where(GateCheck.id == check_id))


def _is_waited_for() -> tuple[ColumnElement[bool], ...]:
    return (GateCheck.answered_at.is_(None), GateCheck.created_at > func.now() - ANSWER_WITHIN)

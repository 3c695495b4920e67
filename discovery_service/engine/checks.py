"""Dry runs through the gate: asked for as a row, answered by a worker, told by NOTIFY."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import GateCheck
from discovery_service.engine.dispatch import ring_task
from discovery_service.engine.work import CANDIDATE

CHECK_CHANNEL = "gate_check"
CHECK_TASK = "gate.check"


def ask_check(session: Session, check_id: UUID, *, family: str, source: str) -> None:
    session.add(GateCheck(id=check_id, family=family, source=source))
    session.flush()
    ring_task(session, CHECK_TASK, CANDIDATE.queue, check_id)


def find_check(session: Session, check_id: UUID) -> GateCheck | None:
    """None when it is gone, or answered already: messages may come twice."""
    found = session.get(GateCheck, check_id)
    return None if found is None or found.answered_at is not None else found


def answer_check(session: Session, check_id: UUID, answer: dict[str, Any]) -> None:
    found = session.get(GateCheck, check_id, with_for_update=True)
    if found is None or found.answered_at is not None:
        return
    found.answer, found.answered_at = answer, func.now()
    session.execute(select(func.pg_notify(CHECK_CHANNEL, str(check_id))))


def find_answer(session: Session, check_id: UUID) -> dict[str, Any] | None:
    return session.scalar(select(GateCheck.answer).where(GateCheck.id == check_id))

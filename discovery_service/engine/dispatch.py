"""Names of queues and tasks, and messages that tell workers to look, sent after the commit.

A message carries nothing but a row's id. Lost, late and doubled ones do no harm; the sweeper rings again.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.engine.work import WORK_KINDS, WorkKind

MAINTAIN_QUEUE = "maintain"
SWEEP_TASK = "maintain.sweep"
ADVANCE_TASK = "maintain.advance"
QUEUES = (*(kind.queue for kind in WORK_KINDS), MAINTAIN_QUEUE)

# A backlog is rung for piece by piece, and not while as many messages still wait: a queue behind trainings of hours
# would otherwise grow by a message for every row and minute.
RING_AT_MOST = 100

_RINGS = "rings"
Ring = tuple[str, str, str]
"""Task, queue, id of the row."""


class Bell(Protocol):
    def ring(self, rings: Iterable[Ring]) -> None:
        """Send the messages; a broker that is away is left to the sweeper."""

    def is_heard(self) -> bool:
        """Whether the broker answers just now."""


def ring(session: Session, kind: WorkKind, *row_ids: UUID) -> None:
    """Note when the rows were rung for, and send their messages after the commit."""
    if not row_ids:
        return
    session.execute(
        update(kind.table)
        .where(kind.table.id.in_(row_ids))
        .values(rung_at=func.now())
        .execution_options(synchronize_session=False)
    )
    for row_id in row_ids:
        ring_task(session, kind.task, kind.queue, row_id)


def ring_for_step(session: Session, campaign_id: UUID) -> None:
    """Have the campaign's next step taken, where nothing of it has just ended that would."""
    ring_task(session, ADVANCE_TASK, MAINTAIN_QUEUE, campaign_id)


def ring_task(session: Session, task: str, queue: str, row_id: UUID) -> None:
    """Send a message after the commit, once however often it is asked for."""
    session.info.setdefault(_RINGS, {})[(task, queue, str(row_id))] = None


@contextmanager
def unit_of_work(sessions: Sessions, bell: Bell) -> Iterator[Session]:
    """One request or task, one transaction. Rings are sent after the commit, and not at all without one."""
    with sessions.begin() as session:
        yield session
    bell.ring(session.info.pop(_RINGS, {}))

"""The fleet: a worker's row while it lives, and its earlier incarnation's leases when it starts again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from discovery_service.db.tables import Worker
from discovery_service.domain.states import WorkerState
from discovery_service.engine.campaigns import lock_campaigns
from discovery_service.engine.claim import Claim, crash
from discovery_service.engine.work import WORK_KINDS
from discovery_service.errors import UsageError

LOST_AFTER = timedelta(seconds=60)
LISTED_FOR = timedelta(days=1)
# Two sightings missed, each with its statement. Less than a lease, so that no outage that ends one passes for a life.
UNSEEN_AFTER = timedelta(seconds=12)


@dataclass(frozen=True)
class Process:
    host: str
    pid: int


def register_worker(
    session: Session,
    *,
    name: str,
    queues: list[str],
    slots: int,
    devices: list[dict[str, Any]],
    process: Process,
    has_ended: Callable[[Process], bool],
) -> Worker:
    """A new incarnation. What an earlier one of the same name still holds is given back without counting.

    `has_ended` is asked about the earlier one's process; one that lives keeps its name.
    """
    while True:
        _end_earlier(session, name, has_ended)
        worker = Worker(name=name, queues=queues, slots=slots, devices=devices, host=process.host, pid=process.pid)
        try:
            with session.begin_nested():
                session.add(worker)
                session.flush()
        except IntegrityError:
            continue  # Another worker of the name started at the same moment and was first; it is an earlier one now.
        return worker


def _end_earlier(session: Session, name: str, has_ended: Callable[[Process], bool]) -> None:
    # Not its key, to which a claim that is under way refers: that one holds the campaign, which is wanted here next.
    query = select(Worker).where(Worker.name == name, Worker.stopped_at.is_(None)).with_for_update(key_share=True)
    earlier = session.scalar(query)
    if earlier is None:
        return
    was_just_seen = session.scalar(select(Worker.seen_at > func.now() - UNSEEN_AFTER).where(Worker.id == earlier.id))
    if was_just_seen and not has_ended(Process(earlier.host, earlier.pid)):
        raise UsageError(
            f"A worker named {name} runs already, as process {earlier.pid} on {earlier.host}. "
            "Give this one a --name of its own."
        )
    earlier.stopped_at = func.now()
    session.flush()
    free_leases(session, earlier.id, "the worker was started again")


def see_worker(session: Session, worker_id: UUID) -> bool:
    """Note that the worker lives. False: another one of its name has taken its place."""
    seen = session.execute(
        update(Worker)
        .where(Worker.id == worker_id, Worker.stopped_at.is_(None))
        .values(
            seen_at=func.now(),
            seen_since=case((Worker.seen_at < func.now() - UNSEEN_AFTER, func.now()), else_=Worker.seen_since),
        )
        .returning(Worker.id)
        .execution_options(synchronize_session=False)
    )
    return seen.one_or_none() is not None


def note_isolation(session: Session, worker_id: UUID, level: str) -> None:
    """How well the worker's jail is locked. Each process of its pool has one; the host and its kernel are the same."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(isolation=level))


def list_isolation(session: Session, *, besides: UUID | None = None) -> Sequence[str]:
    """The levels of all jails in the fleet, or of all but one worker's."""
    query = select(Worker.isolation).where(
        Worker.stopped_at.is_(None), Worker.seen_at > func.now() - LOST_AFTER, Worker.isolation.is_not(None)
    )
    if besides is not None:
        query = query.where(Worker.id != besides)
    return [level for level in session.scalars(query) if level is not None]


def list_workers(session: Session) -> Sequence[tuple[Worker, WorkerState]]:
    """The last incarnation of each name that was seen within a day, in the order of names."""
    state = case(
        (Worker.stopped_at.is_not(None), WorkerState.STOPPED.value),
        (Worker.seen_at <= func.now() - LOST_AFTER, WorkerState.LOST.value),
        else_=WorkerState.LIVE.value,
    )
    query = (
        select(Worker, state)
        .where(Worker.seen_at > func.now() - LISTED_FOR)
        .order_by(Worker.name, Worker.created_at.desc(), Worker.id.desc())
        .ext(distinct_on(Worker.name))
    )
    return [(worker, WorkerState(found)) for worker, found in session.execute(query)]


def count_live_slots(session: Session, queue: str) -> int:
    """Pieces of that queue's work that the fleet does at once."""
    is_live = (Worker.stopped_at.is_(None), Worker.seen_at > func.now() - LOST_AFTER)
    return sum(session.scalars(select(Worker.slots).where(*is_live, Worker.queues.contains([queue]))))


def stop_worker(session: Session, worker_id: UUID) -> None:
    """An orderly stop: whatever is still held goes back to waiting at once."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(stopped_at=func.now(), seen_at=func.now()))
    free_leases(session, worker_id, "the worker stopped")


def free_leases(session: Session, worker_id: UUID, reason: str) -> None:
    held = [
        Claim(kind, row.id, row.attempt, row.campaign_id)
        for kind in WORK_KINDS
        for row in session.execute(
            select(kind.table.id, kind.table.attempt, kind.table.campaign_id).where(
                kind.table.lease_owner == worker_id, kind.table.status == kind.held
            )
        )
    ]
    lock_campaigns(session, {claim.campaign_id for claim in held})
    for claim in held:
        crash(session, claim, reason, counts=False)

"""What beat runs: expired leases end, work that nobody came for is rung for again, cancellations settle.

Safe to run twice at once: every step re-checks its row under a lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, GateCheck, Idempotency, Worker
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine.campaigns import lock_campaigns, settle_cancelling
from discovery_service.engine.claim import LEASE, Claim, crash
from discovery_service.engine.dispatch import RING_AT_MOST, ring
from discovery_service.engine.work import WORK_KINDS, WorkKind, is_due
from discovery_service.engine.workers import UNSEEN_AFTER

RING_AGAIN_AFTER = timedelta(seconds=60)
IDEMPOTENCY_KEPT = timedelta(hours=24)
GATE_CHECKS_KEPT = timedelta(hours=1)


@dataclass(frozen=True)
class Swept:
    expired: int
    rung: int


def sweep(
    session: Session, *, messages_waiting: Mapping[str, int], ring_again_after: timedelta = RING_AGAIN_AFTER
) -> Swept:
    """One round of upkeep; `messages_waiting` tells how many messages the broker holds for each queue."""
    lapsed = [lease for kind in WORK_KINDS for lease in _list_lapsed(session, kind)]
    cancelling = session.scalars(select(Campaign.id).where(Campaign.status == CampaignStatus.CANCELLING)).all()
    lock_campaigns(session, {*cancelling, *(lease.held.campaign_id for lease in lapsed)})
    expired = sum(crash(session, lease.held, lease.reason, counts=lease.counts) for lease in lapsed)
    for campaign_id in cancelling:
        settle_cancelling(session, campaign_id)
    quiet = [kind for kind in WORK_KINDS if messages_waiting.get(kind.queue, 0) < RING_AT_MOST]
    rung = sum(_ring_again(session, kind, ring_again_after) for kind in quiet)
    session.execute(delete(Idempotency).where(Idempotency.created_at < func.now() - IDEMPOTENCY_KEPT))
    session.execute(delete(GateCheck).where(GateCheck.created_at < func.now() - GATE_CHECKS_KEPT))
    return Swept(expired=expired, rung=rung)


@dataclass(frozen=True)
class LapsedLease:
    held: Claim
    reason: str
    counts: bool


def _list_lapsed(session: Session, kind: WorkKind) -> list[LapsedLease]:
    """A lease that lapsed under a living worker is the work's own crash; one of a lost worker is not.

    A worker lived if it was seen without a gap since the lease's last renewal: one that came back after an outage of
    the database, which nobody could renew through, did not.
    """
    table = kind.table
    worker_lives = and_(
        Worker.stopped_at.is_(None),
        Worker.seen_at > func.now() - UNSEEN_AFTER,
        Worker.seen_since <= table.lease_expires_at - LEASE,
    )
    rows = session.execute(
        select(table.id, table.attempt, table.campaign_id, worker_lives.label("worker_lives"))
        .join(Worker, Worker.id == table.lease_owner)
        .where(table.status == kind.held, table.lease_expires_at < func.now())
    ).all()
    return [
        LapsedLease(
            held=Claim(kind, row.id, row.attempt, row.campaign_id),
            reason="its lease lapsed under a living worker"
            if row.worker_lives
            else "its worker or the database was lost",
            counts=row.worker_lives,
        )
        for row in rows
    ]


def _ring_again(session: Session, kind: WorkKind, ring_again_after: timedelta) -> int:
    table = kind.table
    row_ids = session.scalars(
        select(table.id)
        .join(Campaign, Campaign.id == table.campaign_id)
        .where(
            table.status == kind.waiting,
            is_due(kind),
            Campaign.status == CampaignStatus.RUNNING,
            or_(table.rung_at.is_(None), table.rung_at < func.now() - ring_again_after),
        )
        .order_by(table.rung_at.nulls_first(), table.id)
        .limit(RING_AT_MOST)
        .with_for_update(of=table, skip_locked=True)
    ).all()
    ring(session, kind, *row_ids)
    return len(row_ids)

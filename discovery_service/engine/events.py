"""Writes events in the transaction of what they tell, and reads them so that a late commit is never skipped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy import BigInteger, literal_column, select, tuple_
from sqlalchemy.orm import Session

from discovery_service.db.tables import Event
from discovery_service.errors import Unprocessable

CHANNEL = "event"

_HORIZON = literal_column("(pg_snapshot_xmin(pg_current_snapshot())::text)::bigint", BigInteger)


@dataclass(frozen=True, order=True)
class Cursor:
    """A place in the order of events: transaction id, then event id. Written "xid-id"."""

    xid: int = 0
    id: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        xid, _, number = text.partition("-")
        if not (xid.isascii() and xid.isdigit() and number.isascii() and number.isdigit() and len(text) <= 39):
            raise Unprocessable(f"{text[:60]!r} is no event id; take one from an earlier answer.")
        return cls(min(int(xid), 2**63 - 1), min(int(number), 2**63 - 1))

    @classmethod
    def of(cls, event: Event) -> Self:
        return cls(event.xid, event.id)

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"


def record(session: Session, campaign_id: UUID, kind: str, subject_id: UUID | None = None, **payload: Any) -> None:
    session.add(Event(campaign_id=campaign_id, kind=kind, subject_id=subject_id, payload=payload))


def list_events(session: Session, campaign_id: UUID, after: Cursor, limit: int) -> Sequence[Event]:
    """Events behind the cursor that no open transaction can still slip in front of.

    Transaction ids are given out in order but commit in any; below the snapshot's xmin all have ended.
    """
    return session.scalars(
        select(Event)
        .where(
            Event.campaign_id == campaign_id,
            tuple_(Event.xid, Event.id) > (after.xid, after.id),
            Event.xid < _HORIZON,
        )
        .order_by(Event.xid, Event.id)
        .limit(limit)
    ).all()


def has_pending_events(session: Session, campaign_id: UUID) -> bool:
    """Whether committed events wait above the horizon, held back by some transaction of the cluster."""
    query = select(Event.id).where(Event.campaign_id == campaign_id, Event.xid >= _HORIZON).limit(1)
    return session.scalar(query) is not None

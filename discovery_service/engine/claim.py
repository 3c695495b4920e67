"""Claim, renew, finish and crash: how one worker holds one piece of work, fenced by the attempt.

Every write carries (id, attempt); a zombie's late result therefore changes no row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, func, null, or_, select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, Candidate, Evaluation, Worker
from discovery_service.domain.isolation import Level
from discovery_service.domain.states import CampaignStatus, is_final, is_legal
from discovery_service.engine.campaigns import lock_campaigns, pause_for, settle_cancelling
from discovery_service.engine.charges import write_charges
from discovery_service.engine.dispatch import ring
from discovery_service.engine.events import record
from discovery_service.engine.work import CANDIDATE, EVALUATION, EXCHANGE, WorkKind, is_due
from discovery_service.errors import IllegalTransition

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=15)
MAX_CRASHES = 3
# Lost workers are not the work's crashes; but work that takes its worker along each time must end too (celery#9082).
MAX_INTERRUPTIONS = 12
MOST_REASON = 500


@dataclass(frozen=True)
class Claim:
    kind: WorkKind
    id: UUID
    attempt: int
    campaign_id: UUID


@dataclass(frozen=True)
class Renewal:
    is_held: bool
    cancel_requested: bool
    is_paused: bool
    """Its campaign: what runs may finish, and nothing new may begin."""


def claim(
    session: Session, kind: WorkKind, row_id: UUID, worker_id: UUID, *, isolation: Level | None = None
) -> Claim | None:
    """Take the row if it waits and is due, its campaign runs and the worker is one still. None is normal: another was
    faster.

    `isolation`, where the work wants a jail, is what this worker's reaches; its campaign may demand more.
    To be committed at once: others claim beside it, and whoever ends work waits until none of them does.
    """
    table = kind.table
    # The lock makes a pause that is under way decide: whoever was told "paused" sees nothing start any more.
    runs = select(Campaign.id).where(Campaign.id == table.campaign_id, Campaign.status == CampaignStatus.RUNNING)
    if isolation is not None:
        demanded = Campaign.spec["isolation"].astext
        reached = [level.value for level in Level if isolation.reaches(level)]
        runs = runs.where(or_(demanded.is_(None), demanded.in_(reached)))
    # A worker notices only after seconds that another one has its name; what it took meanwhile nobody would free.
    works = select(Worker.id).where(Worker.id == worker_id, Worker.stopped_at.is_(None))
    row = session.execute(
        update(table)
        .where(
            table.id == row_id,
            table.status == kind.waiting,
            table.cancel_requested_at.is_(None),
            is_due(kind),
            runs.with_for_update(read=True).exists(),
            works.exists(),
        )
        .values(
            status=kind.held,
            attempt=table.attempt + 1,
            lease_owner=worker_id,
            lease_expires_at=func.now() + LEASE,
            started_at=func.coalesce(table.started_at, func.now()),
        )
        .returning(table.attempt, table.campaign_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        log.debug("claim.lost", kind=kind.name, id=str(row_id))
        return None
    record(session, row.campaign_id, f"{kind.name}.{kind.held}", row_id, attempt=row.attempt)
    return Claim(kind, row_id, row.attempt, row.campaign_id)


def hand_on(session: Session, kind: WorkKind, row_id: UUID) -> None:
    """Ring for another worker, where this one can do nothing about a row that still waits."""
    table = kind.table
    waits = select(table.id).join(Campaign, Campaign.id == table.campaign_id)
    waits = waits.where(
        table.id == row_id, table.status == kind.waiting, is_due(kind), Campaign.status == CampaignStatus.RUNNING
    )
    if session.scalar(waits) is not None:
        ring(session, kind, row_id)


def renew(session: Session, held: Claim) -> Renewal:
    """Extend the lease by the database's clock, and learn in the same statement whether to stop."""
    table = held.kind.table
    is_paused = select(Campaign.status == CampaignStatus.PAUSED).where(Campaign.id == table.campaign_id)
    told = (
        table.cancel_requested_at.is_not(None).label("is_cancelled"),
        is_paused.correlate(table).scalar_subquery().label("is_paused"),
    )
    row = session.execute(
        update(table)
        .where(*_is_ours(held))
        .values(lease_expires_at=func.now() + LEASE)
        .returning(*told)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return Renewal(is_held=False, cancel_requested=False, is_paused=False)
    return Renewal(is_held=True, cancel_requested=row.is_cancelled, is_paused=row.is_paused)


def finish(
    session: Session, held: Claim, status: StrEnum, *, told: Mapping[str, Any] | None = None, **values: Any
) -> bool:
    """Write the outcome under (id, attempt). False: the lease was lost meanwhile and nothing was written.

    `told` goes into the event beside the attempt, the candidate's name and why it was refused.
    """
    if not is_legal(held.kind.held, status):
        raise IllegalTransition(f"A {held.kind.name} cannot go from {held.kind.held} to {status}.")
    # The campaign first, here and in `crash`, as `cancel_campaign` does; or two of them could wait for each other.
    locked = lock_campaigns(session, [held.campaign_id])
    if status is held.kind.waiting and _is_too_late(session, held):
        status = held.kind.cancelled
    ended = {} if status is held.kind.waiting else {"finished_at": func.now()}
    let_go = _let_go(session, held, status, **ended, **values)
    if let_go is None:
        log.info("claim.fenced", kind=held.kind.name, id=str(held.id), attempt=held.attempt)
        return False
    refusal = values.get("refusal") or {}
    why = {part: refusal[part] for part in ("code", "message") if part in refusal}
    facts = {"attempt": held.attempt, **let_go.facts, **why, **(told or {})}
    record(session, held.campaign_id, f"{held.kind.name}.{status}", held.id, **facts)
    if locked[held.campaign_id] is CampaignStatus.CANCELLING:
        settle_cancelling(session, held.campaign_id)
    return True


def crash(session: Session, held: Claim, reason: str, *, counts: bool = True) -> bool:
    """End the attempt by our own fault: back to waiting, or abandoned after too many. False: already lost.

    Not `counts`: the worker's end was no crash of the work, only an interruption.
    """
    locked = lock_campaigns(session, [held.campaign_id])
    table = held.kind.table
    row = session.execute(
        select(table.crashes, table.interruptions).where(*_is_ours(held)).with_for_update()
    ).one_or_none()
    if row is None:
        return False
    kind, crashes, interruptions = held.kind, row.crashes + counts, row.interruptions + (not counts)
    if _is_too_late(session, held):
        target = kind.cancelled
    elif crashes >= MAX_CRASHES or interruptions >= MAX_INTERRUPTIONS:
        target = kind.abandoned
    else:
        target = kind.waiting
    ended: dict[str, Any] = {} if target is kind.waiting else {"finished_at": func.now()}
    let_go = _let_go(session, held, target, crashes=crashes, interruptions=interruptions, **ended)
    named = {} if let_go is None else let_go.facts
    if kind is EXCHANGE:
        # What the endpoint may have charged for a call whose worker was lost stays, whatever becomes of the campaign.
        write_charges(session, held.campaign_id)
    reason = storable(reason)
    facts = {"attempt": held.attempt, **named, "reason": reason, "counts": counts}
    record(session, held.campaign_id, f"{kind.name}.crashed", held.id, **facts)
    record(session, held.campaign_id, f"{kind.name}.{target}", held.id, attempt=held.attempt, **named)
    if target is kind.waiting:
        ring(session, kind, held.id)
        return True
    if target is kind.abandoned:
        why = f"The {kind.name} {held.id} was abandoned after attempt {held.attempt}: {reason}."
        pause_for(session, held.campaign_id, why)
    if locked[held.campaign_id] is CampaignStatus.CANCELLING:
        settle_cancelling(session, held.campaign_id)
    return True


def _is_too_late(session: Session, held: Claim) -> bool:
    """Whether nobody would take it if it waited again: it is to be cancelled, or its campaign has ended meanwhile."""
    status = session.scalar(select(Campaign.status).where(Campaign.id == held.campaign_id))
    asked = select(held.kind.table.cancel_requested_at).where(*_is_ours(held))
    assert status is not None, "its campaign is locked"
    return is_final(status) or session.scalar(asked) is not None


def storable(text: str) -> str:
    """A driver's or a library's words may hold what the database does not store."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()[:MOST_REASON]


class _LetGo(NamedTuple):
    name: str | None
    """Of the candidate, where the work is about one."""

    @property
    def facts(self) -> dict[str, str]:
        return {} if self.name is None else {"name": self.name}


def _let_go(session: Session, held: Claim, status: StrEnum, **values: Any) -> _LetGo | None:
    table = held.kind.table
    let_go = session.execute(
        update(table)
        .where(*_is_ours(held))
        .values(status=status, lease_owner=None, lease_expires_at=None, **values)
        .returning(_find_name(held.kind))
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return None if let_go is None else _LetGo(let_go[0])


def _find_name(kind: WorkKind) -> Any:
    """For the same statement."""
    if kind is CANDIDATE:
        return Candidate.name
    if kind is EVALUATION:
        named = select(Candidate.name).where(Candidate.id == Evaluation.candidate_id)
        return named.correlate(Evaluation).scalar_subquery()
    return null()


def _is_ours(held: Claim) -> tuple[ColumnElement[bool], ...]:
    table = held.kind.table
    return (table.id == held.id, table.attempt == held.attempt, table.status == held.kind.held)

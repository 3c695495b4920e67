"""Reads that more than one page of the API asks for."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, joinedload

from discovery_service.db.tables import ApiKey, Arena, Campaign, Candidate
from discovery_service.domain.states import CampaignStatus, CandidateStatus
from discovery_service.errors import Unprocessable


def list_campaigns(
    session: Session, *, statuses: Sequence[CampaignStatus], archived: bool, after: UUID | None, limit: int
) -> Sequence[Campaign]:
    """The newest first, behind `after`."""
    query = (
        select(Campaign)
        .options(joinedload(Campaign.progress, innerjoin=True))
        .where(Campaign.deleted_at.is_(None), Campaign.archived_at.is_not(None) == archived)
        .order_by(Campaign.created_at.desc(), Campaign.id.desc())
        .limit(limit)
    )
    if statuses:
        query = query.where(Campaign.status.in_(statuses))
    if after is not None:
        query = query.where(tuple_(Campaign.created_at, Campaign.id) < _place_of(session, Campaign, after))
    return session.scalars(query).all()


def list_keys(session: Session, *, after: UUID | None, limit: int) -> Sequence[ApiKey]:
    """The newest first, behind `after`."""
    query = select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id.desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(ApiKey.created_at, ApiKey.id) < _place_of(session, ApiKey, after))
    return session.scalars(query).all()


def _place_of(session: Session, table: type[Campaign] | type[ApiKey], after: UUID) -> tuple[datetime, UUID]:
    created_at = session.scalar(select(table.created_at).where(table.id == after))
    if created_at is None:
        raise Unprocessable(f"after: there is nothing with the id {after}; take the `next` of the page before.")
    return created_at, after


def list_fingerprints(session: Session, campaign_id: UUID, *, besides: UUID) -> list[tuple[str, bytes]]:
    """Of the campaign's accepted losses, by name."""
    query = select(Candidate.name, Candidate.fingerprint).where(
        Candidate.campaign_id == campaign_id,
        Candidate.status == CandidateStatus.ACCEPTED,
        Candidate.id != besides,
        Candidate.fingerprint.is_not(None),
    )
    return [(name, fingerprint) for name, fingerprint in session.execute(query) if fingerprint is not None]


def list_operators_arenas(session: Session, family: str | None = None) -> Sequence[Arena]:
    """The newest version of each, by name."""
    newest = select(Arena).ext(distinct_on(Arena.name))
    newest = newest.order_by(Arena.name, Arena.created_at.desc(), Arena.id.desc())
    query = newest.where(~Arena.name.contains(":"))  # that of a built-in one stands before its size
    return session.scalars(query if family is None else query.where(Arena.family == family)).all()


def find_operators_arena(session: Session, name: str) -> Arena | None:
    """By `NAME`, its newest version, or by `NAME@` and the first 12 digits of its content's hash."""
    base, _, version = name.partition("@")
    query = select(Arena).where(Arena.name == base, Arena.content_sha256.startswith(version, autoescape=True))
    return session.scalars(query.order_by(Arena.created_at.desc(), Arena.id.desc()).limit(1)).one_or_none()

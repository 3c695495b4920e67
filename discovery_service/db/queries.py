"""Reads that pages of the API and tasks ask for."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, joinedload

from discovery_service.db.tables import (
    ApiKey,
    Arena,
    Campaign,
    Candidate,
    Finalist,
    Freeze,
    Proposal,
    Round,
    Seal,
    Standing,
)
from discovery_service.domain.authors import Author
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


class StandingRow(NamedTuple):
    standing: Standing
    name: str
    author: Author
    arena: str


def list_standings(session: Session, campaign_id: UUID) -> list[StandingRow]:
    """Those of each arena together, the highest lower bound first."""
    query = (
        select(Standing, Candidate.name, Candidate.author, Arena.name)
        .join(Candidate, Candidate.id == Standing.candidate_id)
        .join(Arena, Arena.id == Standing.arena_id)
        .where(Standing.campaign_id == campaign_id)
        .order_by(Arena.name, Arena.id, Standing.extension, Standing.lower.desc().nulls_last(), Candidate.name)
    )
    return [StandingRow(*row) for row in session.execute(query)]


class FrozenRow(NamedTuple):
    freeze: Freeze
    seal: Seal | None
    finalist: Finalist
    name: str
    author: Author
    arena: str


def list_frozen_losses(session: Session, campaign_id: UUID) -> list[FrozenRow]:
    """Of each freeze, the earliest first, its finalists before its references, each at the chosen setting first."""
    query = (
        select(Freeze, Seal, Finalist, Candidate.name, Candidate.author, Arena.name)
        .join(Finalist, Finalist.freeze_id == Freeze.id)
        .join(Candidate, Candidate.id == Finalist.candidate_id)
        .join(Arena, Arena.id == Freeze.arena_id)
        .outerjoin(Seal, Seal.freeze_id == Freeze.id)
        .where(Freeze.campaign_id == campaign_id)
        .order_by(Freeze.created_at, Freeze.id)
        .order_by(Finalist.role, Candidate.name, Candidate.id, Finalist.rank)
    )
    return [FrozenRow(*row) for row in session.execute(query)]


class Fingerprint(NamedTuple):
    round: int
    name: str
    version: int | None
    raw: bytes | None


def list_fingerprints(session: Session, campaign_id: UUID, rounds: Collection[int]) -> list[Fingerprint]:
    """Of the losses that were accepted in these rounds, in their order.

    Without the library's, which the campaign's spec names.
    """
    query = (
        select(Round.number, Candidate.name, Candidate.fingerprint_version, Candidate.fingerprint)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(
            Round.campaign_id == campaign_id,
            Round.number.in_(rounds),
            Candidate.status == CandidateStatus.ACCEPTED,
            Candidate.author != Author.LIBRARY,
        )
        .order_by(Round.number, Proposal.slot, Candidate.turn)
    )
    return [Fingerprint(*row) for row in session.execute(query)]


def list_operators_arenas(session: Session, family: str | None = None) -> Sequence[Arena]:
    """The version of each that was registered last, by name."""
    latest = select(Arena).ext(distinct_on(Arena.name))
    latest = latest.order_by(Arena.name, Arena.registered_at.desc(), Arena.id.desc())
    query = latest.where(~Arena.name.contains(":"))  # that of a built-in one stands before its size
    return session.scalars(query if family is None else query.where(Arena.family == family)).all()


def is_arena(name: str) -> ColumnElement[bool]:
    """Whether a row of arenas is what this means: `NAME`, or `NAME@` and the first 12 digits of its content's hash."""
    base, _, version = name.partition("@")
    return (Arena.name == base) & Arena.content_sha256.startswith(version, autoescape=True)


def find_operators_arena(session: Session, name: str) -> Arena | None:
    """Of several versions the one that was registered last."""
    query = select(Arena).where(is_arena(name))
    return session.scalars(query.order_by(Arena.registered_at.desc(), Arena.id.desc()).limit(1)).one_or_none()

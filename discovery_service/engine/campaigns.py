"""What a user may do to a campaign. Each command is idempotent, legal by `domain/states.py`, and writes its event."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ColumnElement, ScalarSelect, func, select, update
from sqlalchemy.orm import Session, joinedload

from discovery_service.db.tables import Campaign, CampaignProgress, Candidate, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Budgets, CampaignSpec
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.states import (
    CampaignStatus,
    CandidateStatus,
    ProposalStatus,
    RoundStatus,
    is_final,
    is_legal,
)
from discovery_service.engine.arenas import pin_arenas
from discovery_service.engine.dispatch import RING_AT_MOST, ring, ring_for_step
from discovery_service.engine.events import record
from discovery_service.engine.work import WORK_KINDS, WorkKind, is_due
from discovery_service.errors import Conflict, IllegalTransition, NotFound, Unprocessable, UnusableFields


def create_campaign(
    session: Session,
    *,
    name: str,
    notes: str,
    spec: CampaignSpec,
    created_by: UUID | None,
    cloned_from: UUID | None = None,
) -> Campaign:
    """UnusableFields when the spec names an arena that there is not."""
    campaign = Campaign(
        name=name,
        notes=notes,
        spec=pin_arenas(session, spec).model_dump(mode="json"),
        created_by=created_by,
        cloned_from=cloned_from,
        progress=CampaignProgress(),
    )
    session.add(campaign)
    session.flush()
    session.refresh(campaign)
    session.refresh(campaign, ["progress"])
    record(session, campaign.id, "campaign.created", campaign.id, status=campaign.status)
    ring_for_step(session, campaign.id)
    return campaign


def lock_campaigns(session: Session, campaign_ids: Collection[UUID]) -> dict[UUID, CampaignStatus]:
    """Take several campaigns at once, always in the same order, or two that do so could wait for each other.

    Their statuses, which nobody else changes any more.
    """
    query = select(Campaign.id, Campaign.status).where(Campaign.id.in_(campaign_ids)).order_by(Campaign.id)
    return dict(session.execute(query.with_for_update(key_share=True)).all())


def get_campaign(session: Session, campaign_id: UUID, *, lock: bool = False) -> Campaign:
    query = select(Campaign).where(Campaign.id == campaign_id, Campaign.deleted_at.is_(None))
    query = query.options(joinedload(Campaign.progress, innerjoin=True))
    if lock:
        # Only the campaign's row, and not its key: neither progress nor an event that refers to it has to wait.
        query = query.with_for_update(of=Campaign, key_share=True).execution_options(populate_existing=True)
    campaign = session.scalar(query)
    if campaign is None:
        raise NotFound(f"There is no campaign {campaign_id}.")
    return campaign


def edit_campaign(
    session: Session,
    campaign_id: UUID,
    *,
    name: str | None,
    notes: str | None,
    guidance: str | None,
    budgets: Budgets | None,
) -> Campaign:
    """Change what may change while it runs; an absent field stays as it is, also one of the budgets.

    Conflict for other budgets of one that has ended: nothing would come of them, and an extension would find itself no
    wider than what is there.
    """
    campaign = get_campaign(session, campaign_id, lock=True)
    before = {"name": campaign.name, "notes": campaign.notes, **campaign.spec}
    campaign.name = before["name"] if name is None else name
    campaign.notes = before["notes"] if notes is None else notes
    spec = dict(campaign.spec)
    if guidance is not None:
        spec["guidance"] = guidance
    if budgets is not None:
        spec["budgets"] = {**spec.get("budgets", {}), **budgets.model_dump(mode="json", exclude_unset=True)}
        if spec["budgets"] != campaign.spec.get("budgets") and is_final(campaign.status):
            does = "Extend it" if campaign.status is CampaignStatus.COMPLETED else "Clone it, and edit the clone"
            raise Conflict(f"The campaign is {campaign.status}, and other budgets change nothing of it. {does}.")
    campaign.spec = spec
    after = {"name": campaign.name, "notes": campaign.notes, **spec}
    changed = sorted(key for key in after if after[key] != before.get(key))
    if changed:
        # What prompts and decisions before this followed from; a replay looks it up.
        was = {key: before.get(key) for key in changed if key in spec}
        record(session, campaign.id, "campaign.edited", campaign.id, fields=changed, was=was)
    return campaign


def pause_campaign(session: Session, campaign_id: UUID) -> Campaign:
    """Nothing new starts from the next claim on; what runs may finish."""
    campaign = get_campaign(session, campaign_id, lock=True)
    if campaign.status is not CampaignStatus.PAUSED:
        move(session, campaign, CampaignStatus.PAUSED)
    return campaign


def pause_for(session: Session, campaign_id: UUID, reason: str) -> None:
    """Pause by ourselves with a visible reason; a campaign that does not run stays as it is."""
    campaign = get_campaign(session, campaign_id, lock=True)
    if is_legal(campaign.status, CampaignStatus.PAUSED):
        move(session, campaign, CampaignStatus.PAUSED, reason)


def resume_campaign(session: Session, campaign_id: UUID) -> Campaign:
    """Go on where it was paused; waiting work is rung for at once, the rest of a long backlog by the sweeper."""
    campaign = get_campaign(session, campaign_id, lock=True)
    target = CampaignStatus.QUEUED if campaign.started_at is None else CampaignStatus.RUNNING
    if campaign.status is target:
        return campaign
    if campaign.status is not CampaignStatus.PAUSED:
        raise IllegalTransition(f"A {campaign.status} campaign cannot be resumed; only a paused one can.")
    move(session, campaign, target)
    for kind in WORK_KINDS:
        waiting = select(kind.table.id).where(kind.table.campaign_id == campaign.id, kind.table.status == kind.waiting)
        ring(session, kind, *session.scalars(waiting.where(is_due(kind)).order_by(kind.table.id).limit(RING_AT_MOST)))
    ring_for_step(session, campaign.id)
    return campaign


def cancel_campaign(session: Session, campaign_id: UUID) -> Campaign:
    """Waiting work ends now; what runs is told to stop, and the campaign is cancelled when the last of it has."""
    campaign = get_campaign(session, campaign_id, lock=True)
    if campaign.status in (CampaignStatus.CANCELLING, CampaignStatus.CANCELLED):
        return campaign
    move(session, campaign, CampaignStatus.CANCELLING)
    _cancel_all_waiting(session, campaign.id)
    for kind in WORK_KINDS:
        session.execute(
            update(kind.table)
            .where(kind.table.campaign_id == campaign.id, kind.table.status == kind.held)
            .values(cancel_requested_at=func.now())
            .execution_options(synchronize_session=False)
        )
    settle_cancelling(session, campaign.id)
    return campaign


def cancel_waiting(session: Session, campaign_id: UUID, kind: WorkKind, *where: ColumnElement[bool]) -> int:
    """How many there were."""
    ended = session.scalars(
        update(kind.table)
        .where(kind.table.campaign_id == campaign_id, kind.table.status == kind.waiting, *where)
        .values(status=kind.cancelled, finished_at=func.now())
        .returning(kind.table.id)
        .execution_options(synchronize_session=False)
    ).all()
    for row_id in ended:
        record(session, campaign_id, f"{kind.name}.{kind.cancelled}", row_id)
    return len(ended)


def _cancel_all_waiting(session: Session, campaign_id: UUID) -> None:
    for kind in WORK_KINDS:
        cancel_waiting(session, campaign_id, kind)


def settle_cancelling(session: Session, campaign_id: UUID) -> None:
    """Finish a cancellation once nothing of the campaign is held any more."""
    session.flush()
    # Locked before the look: of two workers that finish at once the second sees the first one's commit.
    campaign = get_campaign(session, campaign_id, lock=True)
    if campaign.status is not CampaignStatus.CANCELLING or holds_work(session, campaign_id):
        return
    _close_rounds(session, campaign_id)
    move(session, campaign, CampaignStatus.CANCELLED)


def complete_campaign(session: Session, campaign: Campaign, reason: str, best: dict[str, Any] | None) -> None:
    """Nothing of it waits any more, as a training that is tried again after the freeze may; its rounds are closed."""
    _cancel_all_waiting(session, campaign.id)
    _close_rounds(session, campaign.id)
    _write_progress(session, campaign.id, candidates=count_judged(campaign.id), best=best)
    move(session, campaign, CampaignStatus.COMPLETED, reason)


def _write_progress(session: Session, campaign_id: UUID, **values: Any) -> None:
    session.execute(
        update(CampaignProgress)
        .where(CampaignProgress.campaign_id == campaign_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def clone_campaign(session: Session, campaign_id: UUID, *, name: str | None, created_by: UUID | None) -> Campaign:
    """A new campaign with the same spec."""
    original = get_campaign(session, campaign_id)
    return create_campaign(
        session,
        name=name or f"{original.name[:190]} (clone)",
        notes=original.notes,
        spec=_valid_today(session, original),
        created_by=created_by,
        cloned_from=original.id,
    )


def _valid_today(session: Session, campaign: Campaign) -> CampaignSpec:
    try:
        return pin_arenas(session, CampaignSpec.model_validate(campaign.spec))
    except ValidationError as error:
        first = error.errors()[0]
        raise _outdated(campaign, ".".join(map(str, first["loc"])), first["msg"]) from error
    except UnusableFields as error:
        field, message = next(iter(error.fields.items()))
        raise _outdated(campaign, field.removeprefix("body.spec."), message) from error


def _outdated(campaign: Campaign, field: str, message: str) -> Unprocessable:
    return Unprocessable(
        f"The spec of {campaign.id} no longer holds ({field}: {message}). Create a campaign from a mended one."
    )


def archive_campaign(session: Session, campaign_id: UUID, *, archived: bool) -> Campaign:
    """Take a campaign out of the ordinary list, or put it back."""
    campaign = get_campaign(session, campaign_id, lock=True)
    if (campaign.archived_at is not None) == archived:
        return campaign
    if archived and not is_final(campaign.status):
        raise Conflict(f"The campaign is {campaign.status}; only one that has ended can be archived.")
    campaign.archived_at = func.now() if archived else None
    record(session, campaign.id, "campaign.archived" if archived else "campaign.unarchived", campaign.id)
    session.flush()
    session.refresh(campaign, ["archived_at"])
    return campaign


def delete_campaign(session: Session, campaign_id: UUID) -> None:
    """Take a campaign off every list. Its rows stay, because measurements are shared and never lost."""
    campaign = get_campaign(session, campaign_id, lock=True)
    runs = campaign.status in (CampaignStatus.RUNNING, CampaignStatus.CANCELLING)
    if runs or holds_work(session, campaign.id):
        raise Conflict(f"The campaign is {campaign.status} and something of it runs; cancel it first, then delete it.")
    # Nobody could ever resume it; its work would count as waiting for ever.
    _cancel_all_waiting(session, campaign.id)
    campaign.deleted_at = func.now()
    record(session, campaign.id, "campaign.deleted", campaign.id)


def move(session: Session, campaign: Campaign, target: CampaignStatus, reason: str | None = None) -> None:
    """The one place where a campaign's status changes."""
    before = campaign.status
    if not is_legal(before, target):
        raise IllegalTransition(f"A {before} campaign cannot become {target}.", status_now=before.value)
    campaign.status = target
    campaign.status_reason = reason
    if target is CampaignStatus.RUNNING and campaign.started_at is None:
        campaign.started_at = func.now()
    campaign.finished_at = func.now() if is_final(target) else None
    payload: dict[str, Any] = {"from": before, "reason": reason} if reason else {"from": before}
    record(session, campaign.id, f"campaign.{target}", campaign.id, **payload)
    session.flush()
    session.refresh(campaign, ["status", "started_at", "finished_at"])


def holds_work(session: Session, campaign_id: UUID) -> bool:
    """Whether some worker holds a piece of this campaign's work."""
    held = (
        select(kind.table.id).where(kind.table.campaign_id == campaign_id, kind.table.status == kind.held).exists()
        for kind in WORK_KINDS
    )
    return any(session.scalar(select(exists)) for exists in held)


def _close_rounds(session: Session, campaign_id: UUID) -> None:
    rounds = session.scalars(
        update(Round)
        .where(Round.campaign_id == campaign_id, Round.status != RoundStatus.CLOSED)
        .values(status=RoundStatus.CLOSED, closed_at=func.now())
        .returning(Round.id)
        .execution_options(synchronize_session=False)
    ).all()
    proposals = session.scalars(
        update(Proposal)
        .where(Proposal.round_id.in_(rounds), Proposal.status.in_((ProposalStatus.QUEUED, ProposalStatus.ASKING)))
        .values(status=ProposalStatus.CANCELLED)
        .returning(Proposal.id)
        .execution_options(synchronize_session=False)
    ).all()
    for proposal_id in proposals:
        record(session, campaign_id, f"proposal.{ProposalStatus.CANCELLED}", proposal_id)
    for round_id in rounds:
        record(session, campaign_id, f"round.{RoundStatus.CLOSED}", round_id)
    _write_progress(session, campaign_id, rounds_closed=count_closed(campaign_id))


def count_closed(campaign_id: UUID) -> ScalarSelect[int]:
    """Rounds that were opened; one that waited when the search ended saw nothing and is none of them."""
    where = (Round.campaign_id == campaign_id, Round.status == RoundStatus.CLOSED, was_opened())
    return select(func.count(Round.id)).where(*where).scalar_subquery()


def count_judged(campaign_id: UUID) -> ScalarSelect[int]:
    """Candidates that were proposed and came through the gate or were refused there."""
    judged = (CandidateStatus.ACCEPTED, CandidateStatus.REJECTED)
    where = (Candidate.campaign_id == campaign_id, Candidate.status.in_(judged), Candidate.author != Author.LIBRARY)
    return select(func.count(Candidate.id)).where(*where).scalar_subquery()


def was_opened() -> ColumnElement[bool]:
    """Of a round that has ended: every one but the library's saw some other."""
    return (Round.number == LIBRARY_ROUND) | (func.jsonb_array_length(Round.snapshot_rounds) > 0)

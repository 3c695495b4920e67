"""Campaigns: create, list, read, edit, and the commands that a user gives them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, status
from sqlalchemy.orm import Session

from discovery_service.api.dependencies import Reader, Unit, Writer, admitted, demand
from discovery_service.api.idempotency import CreateOnce
from discovery_service.api.pagination import DEFAULT_LIMIT, Limit, Page, PageOf, page_of
from discovery_service.api.schemas.campaigns import (
    CampaignClone,
    CampaignCreate,
    CampaignExtend,
    CampaignRead,
    CampaignUpdate,
)
from discovery_service.api.schemas.plans import PlanCreate, PlanRead
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.api.schemas.standings import StandingsRead
from discovery_service.db.queries import list_campaigns, list_frozen_losses, list_standings
from discovery_service.db.tables import Campaign
from discovery_service.domain.access import Scope
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine import campaigns as engine
from discovery_service.engine.extending import extend_campaign
from discovery_service.engine.outlook import read_outlook
from discovery_service.engine.plans import plan_campaign

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"], responses=problems(*ALWAYS))

_MISSING = problems(404)
_COMMAND = problems(404, 409)
_CREATION = {
    200: {"model": CampaignRead, "description": "The same key was sent before."},
    **problems(408, 409, 413, 429),
}


def tell(unit: Session, campaign: Campaign) -> CampaignRead:
    return CampaignRead.of(campaign, read_outlook(unit, campaign))


def location_of(campaign: CampaignRead) -> str:
    return f"/v1/campaigns/{campaign.id}"


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=CampaignRead,
    responses=_CREATION,
    dependencies=[Depends(admitted)],
)
def create(body: CampaignCreate, unit: Unit, once: CreateOnce, writer: Writer) -> object:
    """Start a campaign. It is queued at once and runs as soon as workers take it up."""

    def make() -> CampaignRead:
        made = engine.create_campaign(
            unit, name=body.name, notes=body.notes, spec=body.spec, created_by=writer.api_key_id
        )
        return tell(unit, made)

    return once.make(body, make, location_of)


@router.get("", name="list", response_model=Page[CampaignRead])
def list_all(
    unit: Unit,
    _: Reader,
    status: Annotated[list[CampaignStatus], Query(description="Repeat it for one or the other.")] = [],  # noqa: B006
    archived: Annotated[bool, Query(description="The archived ones instead of the others.")] = False,
    after: Annotated[UUID | None, Query(description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PageOf[CampaignRead]:
    """The newest first."""
    found = page_of(list_campaigns(unit, statuses=status, archived=archived, after=after, limit=limit + 1), limit)
    return PageOf([tell(unit, each) for each in found.data], found.has_more, found.next)


@router.get("/{campaign_id}", response_model=CampaignRead, responses=_MISSING)
def read(campaign_id: UUID, unit: Unit, _: Reader) -> CampaignRead:
    """One campaign with its spec and its progress."""
    return tell(unit, engine.get_campaign(unit, campaign_id))


@router.get("/{campaign_id}/standings", response_model=StandingsRead, responses=_MISSING)
def standings(campaign_id: UUID, unit: Unit, _: Reader) -> StandingsRead:
    """What the screen shows of each loss, what was frozen, and what was confirmed, in every arena."""
    against = REFERENCE_LOSSES[engine.get_campaign(unit, campaign_id).spec["family"]]
    return StandingsRead.of(against, list_standings(unit, campaign_id), list_frozen_losses(unit, campaign_id))


@router.patch("/{campaign_id}", response_model=CampaignRead, responses=problems(404, 408, 409, 413))
def edit(campaign_id: UUID, body: CampaignUpdate, unit: Unit, _: Writer) -> CampaignRead:
    """Change name, notes, guidance or budgets. Of the budgets, too, an absent one stays and null lifts it.

    A completed campaign gets other budgets by `extend`, with which it goes on.
    """
    edited = engine.edit_campaign(
        unit, campaign_id, name=body.name, notes=body.notes, guidance=body.guidance, budgets=body.budgets
    )
    return tell(unit, edited)


@router.post(":plan", response_model=PlanRead, responses=problems(408, 413))
def plan(body: PlanCreate, unit: Unit, _: Reader) -> PlanRead:
    """What a campaign would take and find, before it starts: nothing is created."""
    return PlanRead.of(plan_campaign(unit, body.spec))


@router.post(
    "/{campaign_id}/extend",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=CampaignRead,
    responses=problems(404, 408, 409, 413),
)
def extend(campaign_id: UUID, body: CampaignExtend, unit: Unit, writer: Writer) -> CampaignRead:
    """Give a completed campaign more, with which it goes on. Earlier verdicts stay; new ones are on fresh draws.

    With candidates the key needs the scope candidates:write as well.
    """
    if body.candidates:
        demand(writer, Scope.CANDIDATES_WRITE)
    candidates = [each.sent() for each in body.candidates]
    return tell(unit, extend_campaign(unit, campaign_id, budgets=body.budgets, candidates=candidates))


@router.post(
    "/{campaign_id}/pause", status_code=status.HTTP_202_ACCEPTED, response_model=CampaignRead, responses=_COMMAND
)
def pause(campaign_id: UUID, unit: Unit, _: Writer) -> CampaignRead:
    """Start nothing new; what runs may finish."""
    return tell(unit, engine.pause_campaign(unit, campaign_id))


@router.post(
    "/{campaign_id}/resume", status_code=status.HTTP_202_ACCEPTED, response_model=CampaignRead, responses=_COMMAND
)
def resume(campaign_id: UUID, unit: Unit, _: Writer) -> CampaignRead:
    """Go on where it was paused."""
    return tell(unit, engine.resume_campaign(unit, campaign_id))


@router.post(
    "/{campaign_id}/cancel", status_code=status.HTTP_202_ACCEPTED, response_model=CampaignRead, responses=_COMMAND
)
def cancel(campaign_id: UUID, unit: Unit, _: Writer) -> CampaignRead:
    """End it: waiting work is dropped, running work told to stop. What was measured stays."""
    return tell(unit, engine.cancel_campaign(unit, campaign_id))


@router.post(
    "/{campaign_id}/clone",
    status_code=status.HTTP_201_CREATED,
    response_model=CampaignRead,
    responses={**_CREATION, **_MISSING},
    dependencies=[Depends(admitted)],
)
def clone(campaign_id: UUID, body: CampaignClone, unit: Unit, once: CreateOnce, writer: Writer) -> object:
    """A new campaign with the same spec."""

    def make() -> CampaignRead:
        made = engine.clone_campaign(unit, campaign_id, name=body.name, created_by=writer.api_key_id)
        return tell(unit, made)

    return once.make(body, make, location_of)


@router.post("/{campaign_id}/archive", response_model=CampaignRead, responses=_COMMAND)
def archive(campaign_id: UUID, unit: Unit, _: Writer) -> CampaignRead:
    """Take an ended campaign out of the ordinary list."""
    return tell(unit, engine.archive_campaign(unit, campaign_id, archived=True))


@router.post("/{campaign_id}/unarchive", response_model=CampaignRead, responses=_MISSING)
def unarchive(campaign_id: UUID, unit: Unit, _: Writer) -> CampaignRead:
    """Put it back on the list."""
    return tell(unit, engine.archive_campaign(unit, campaign_id, archived=False))


@router.delete("/{campaign_id}", status_code=status.HTTP_204_NO_CONTENT, responses=_COMMAND)
def delete(campaign_id: UUID, unit: Unit, _: Writer) -> None:
    """Take a campaign off every list, if nothing of it runs. What was measured stays."""
    engine.delete_campaign(unit, campaign_id)

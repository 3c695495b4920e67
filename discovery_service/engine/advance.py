"""The next steps of a campaign, in the order of its pipeline, from how its rows stand.

Whoever calls this, and however often, the same comes of it: rung for after every piece of work, and by the sweep.
"""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, CampaignProgress
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine.campaigns import move
from discovery_service.engine.deadlines import cut_search
from discovery_service.engine.proposals import settle_proposals
from discovery_service.engine.questions import list_unpriced
from discovery_service.engine.rounds import open_next, pass_on
from discovery_service.engine.verdicts import proceed
from discovery_service.prompts.fitting import PromptTooLong

MOVING = (CampaignStatus.QUEUED, CampaignStatus.RUNNING)


def list_underway(session: Session) -> list[UUID]:
    """The campaigns that a step could move."""
    query = select(Campaign.id).where(Campaign.status.in_(MOVING), Campaign.deleted_at.is_(None))
    return list(session.scalars(query.order_by(Campaign.id)))


def advance(session: Session, campaign_id: UUID, finished: UUID | None = None) -> None:
    """Do whatever can be done next; `finished` is the evaluation that has just ended, if one has."""
    # Locked before the look: of two workers that finish at once the second sees what the first one has committed.
    locked = select(Campaign).where(Campaign.id == campaign_id).with_for_update(key_share=True)
    campaign = session.scalars(locked, execution_options={"populate_existing": True}).one()
    spec = CampaignSpec.model_validate(campaign.spec)
    if campaign.status not in MOVING or campaign.deleted_at is not None:
        return
    if _pauses_for_prices(session, campaign, spec):
        return
    if campaign.status is CampaignStatus.QUEUED:
        move(session, campaign, CampaignStatus.RUNNING)
    settle_proposals(session, campaign, spec)
    pass_on(session, campaign, rings=finished is None)
    cut_search(session, campaign, spec)
    proceed(session, campaign_id, finished)
    while campaign.status is CampaignStatus.RUNNING and _opens_next(session, campaign, spec):
        # Of an ended search nothing more is to be waited for, perhaps.
        pass_on(session, campaign)
        proceed(session, campaign_id)


def _opens_next(session: Session, campaign: Campaign, spec: CampaignSpec) -> bool:
    """What no prompt can do without may be too long for a model: nothing can be asked until a person mends that."""
    try:
        return open_next(session, campaign, spec)
    except PromptTooLong as error:
        move(session, campaign, CampaignStatus.PAUSED, f"{error.detail} Then resume.")
        return False


def _pauses_for_prices(session: Session, campaign: Campaign, spec: CampaignSpec) -> bool:
    """Where a budget in dollars cannot be held; it may have been set while the campaign ran."""
    unpriced = list_unpriced(spec)
    if (
        not unpriced
        or session.get_one(CampaignProgress, campaign.id, populate_existing=True).search_over_at is not None
    ):
        return False
    why = (
        f"A budget in dollars cannot be held without the price of {', '.join(unpriced)}, which a worker does not"
        " know: set DISCOVERY__LLM__PROFILES__NAME__INPUT_USD_PER_MILLION and OUTPUT_ for all workers, gate and"
        " evaluate too, start them again and resume; or take the budget away."
    )
    move(session, campaign, CampaignStatus.PAUSED, why)
    return True

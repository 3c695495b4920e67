"""Adds budget to a completed campaign, which goes on: it proposes anew, and what it finds is frozen and confirmed anew.

Earlier freezes and verdicts stay. Those of an extension are on fresh draws, state an error rate of their own, and count
all candidates that were ever looked at.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, CampaignProgress, Round
from discovery_service.domain.budget import is_wider
from discovery_service.domain.campaign import Budgets, CampaignSpec
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine.arenas import get_arena_of
from discovery_service.engine.by_hand import Sent, put, was_sent
from discovery_service.engine.campaigns import get_campaign, move
from discovery_service.engine.dispatch import ring_for_step
from discovery_service.engine.entries import read_field
from discovery_service.engine.events import record
from discovery_service.engine.history import EXTENDED, read_history
from discovery_service.errors import Conflict, IllegalTransition, UnusableFields


def extend_campaign(
    session: Session, campaign_id: UUID, *, budgets: Budgets, candidates: Sequence[Sent] = ()
) -> Campaign:
    """`budgets` as in an edit: new limits, not amounts to be added, so that the same command heard twice is one.

    `candidates` are a person's, and have the first places of the extension. Conflict where it goes on already without
    one of them.
    """
    campaign = get_campaign(session, campaign_id, lock=True)
    before = campaign.spec.get("budgets", {})
    given = budgets.model_dump(mode="json", exclude_unset=True)
    if campaign.status is CampaignStatus.RUNNING and campaign.extension and before == {**before, **given}:
        if not all(was_sent(session, campaign, each) for each in candidates):
            raise Conflict(
                "The campaign is extended already, and goes on without some of these losses. While it searches, send"
                " each as a candidate: it has one of the first places of the next round."
            )
        return campaign
    if campaign.status is not CampaignStatus.COMPLETED:
        raise IllegalTransition(
            f"A {campaign.status} campaign cannot be extended; only a completed one can. While it runs, edit its"
            " budgets.",
            status_now=campaign.status.value,
        )
    if campaign.archived_at is not None:
        raise Conflict("The campaign is archived. Take it out of the archive, then extend it.")
    after = {**before, **given}
    searched = _find_budgets_of_search(session, campaign)
    if not is_wider(searched, Budgets.model_validate(after)):
        limits = ", ".join(f"{name}={value:g}" for name, value in searched if value is not None)
        why = f"raises no limit, so that nothing more could be proposed; those of the search were {limits}"
        raise UnusableFields({"body.budgets": why})
    if not _can_compare(session, campaign):
        reference = REFERENCE_LOSSES[campaign.spec["family"]]
        raise Conflict(
            f"{reference}, with which everything is compared, was not measured before this campaign's search ended, so"
            " that nothing that is still proposed could have a difference. Create a campaign with the same spec and"
            " more budget: what was measured is taken over."
        )
    campaign.spec = {**campaign.spec, "budgets": after}
    campaign.extension += 1
    session.execute(
        update(CampaignProgress)
        .where(CampaignProgress.campaign_id == campaign.id)
        .values(search_over_at=None)
        .execution_options(synchronize_session=False)
    )
    ended_for = select(func.extract("epoch", func.now() - Campaign.finished_at)).where(Campaign.id == campaign.id)
    told = {"extension": campaign.extension, "budgets": given, "was": {"budgets": before}}
    record(session, campaign.id, EXTENDED, campaign.id, **told, had_ended_for_s=float(session.scalar(ended_for) or 0))
    for number, each in enumerate(candidates):
        put(session, campaign, each, at=f"body.candidates.{number}")
    move(session, campaign, CampaignStatus.RUNNING)
    ring_for_step(session, campaign.id)
    return campaign


def _find_budgets_of_search(session: Session, campaign: Campaign) -> Budgets:
    """When it ended: what was raised while the end was confirmed has had no effect yet."""
    history = read_history(session, campaign)
    told = history.spec_at(campaign.id) if history.tells_of(campaign.id) else CampaignSpec.model_validate(campaign.spec)
    return told.budgets


def _can_compare(session: Session, campaign: Campaign) -> bool:
    """Or its library was never begun, which is done then."""
    begun = select(Round.id).where(Round.campaign_id == campaign.id, Round.number == LIBRARY_ROUND)
    if session.scalar(begun) is None:
        return True
    spec = CampaignSpec.model_validate(campaign.spec)
    return read_field(session, campaign.id, spec, get_arena_of(session, campaign.id, spec.arena)).has_reference

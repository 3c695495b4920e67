"""A campaign whose candidates are given: its rows are written as if a search had proposed them and were over.

Nobody is asked. Gate, tuning, screen, freeze and confirmation are the service's own, by its workers.
"""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Session

from benchmarks.search_plan import Case
from discovery_service.db.tables import Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.states import CampaignStatus, ProposalStatus, RoundStatus
from discovery_service.engine.arenas import get_arena_of
from discovery_service.engine.campaigns import create_campaign, move
from discovery_service.engine.library import add_candidate, find_shipped, open_library

ROUND = 3
"""As in the campaigns that are drawn anew from the bank."""


def write_campaign(session: Session, case: Case) -> UUID:
    """Of a person, whose twins of known losses the gate accepts. The sweep rings for what waits here."""
    spec = CampaignSpec.model_validate(case.spec)
    campaign = create_campaign(session, name=case.name, notes="", spec=spec, created_by=None)
    move(session, campaign, CampaignStatus.RUNNING)
    open_library(session, campaign, spec, find_shipped(spec, [get_arena_of(session, campaign.id, spec.arena)]))
    for first in range(0, len(case.given), ROUND):
        number = 1 + first // ROUND
        made = Round(campaign_id=campaign.id, number=number, status=RoundStatus.GATING, snapshot_rounds=[0])
        session.add(made)
        session.flush()
        for slot, each in enumerate(case.given[first : first + ROUND]):
            proposal = Proposal(
                round_id=made.id,
                slot=slot,
                proposer=Author.HUMAN.value,
                status=ProposalStatus.ANSWERED,
                request={"salt": each.salt} if each.salt else {},
            )
            session.add(proposal)
            session.flush()
            add_candidate(session, campaign, proposal, name=each.name, source=each.source)
    campaign.progress.search_over_at = func.now()
    return campaign.id

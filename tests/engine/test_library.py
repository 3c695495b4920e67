from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Candidate, Event, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.states import CandidateStatus, ProposalStatus, RoundStatus
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.engine.library import list_library, open_library
from discovery_service.losses.known import list_known
from tests import rows
from tests.conftest import RecordingBell


def test_the_library_stands_before_the_gate_in_its_own_order(sessions: Sessions, bell: RecordingBell) -> None:
    with unit_of_work(sessions, bell) as session:
        campaign = rows.add_campaign(session, library=["ipo", "dpo"])
        opened = open_library(session, campaign, CampaignSpec.model_validate(campaign.spec), {})
        assert (opened.number, opened.status, opened.snapshot_rounds) == (0, RoundStatus.GATING, [])
    with sessions() as session:
        query = select(Proposal, Candidate).join(Candidate, Candidate.proposal_id == Proposal.id)
        found = [tuple(row) for row in session.execute(query.order_by(Proposal.slot))]
        assert [(proposal.slot, each.name) for proposal, each in found] == [(0, "dpo"), (1, "ipo")]
        assert all(proposal.status is ProposalStatus.ANSWERED for proposal, _ in found)
        assert all((each.author, each.status) == (Author.LIBRARY, CandidateStatus.PROPOSED) for _, each in found)
        texts = {known.name: known.text for known in list_known(Family.PAIRWISE)}
        assert all(each.source == texts[each.name] for _, each in found)
        assert [ring[2] for ring in bell.rings if ring[0] == "gate.pass"] == [str(each.id) for _, each in found]
        assert session.scalar(select(Event.payload).where(Event.kind == "round.opened")) == {
            "number": 0,
            "proposals": 2,
            "sees": [],
        }
        assert session.scalar(select(Round.closed_at)) is None


def test_all_of_the_library_is_the_whole_family() -> None:
    spec = CampaignSpec(arena="plain:mini")
    assert tuple(each.name for each in list_library(spec)) == KNOWN_LOSSES[Family.PAIRWISE]

"""A campaign whose candidates are given is one that the service's own steps take on."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.search_by_hand import write_campaign
from benchmarks.search_plan import Case, Part
from benchmarks.search_reading import read_outcome
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.states import CampaignStatus, CandidateStatus, RoundStatus
from discovery_service.engine.advance import advance
from discovery_service.engine.campaigns import complete_campaign


def test_its_candidates_stand_before_the_gate_and_nobody_is_asked(sessions: Sessions) -> None:
    case = Case(Part.PLACEBO, "terse:mini", StrategyName.EVOLVE, 1)
    with sessions.begin() as session:
        campaign_id = write_campaign(session, case)
    with sessions.begin() as session:
        advance(session, campaign_id)
    with sessions() as session:
        assert session.get_one(Campaign, campaign_id).status is CampaignStatus.RUNNING
        assert _count_rounds(session) == [RoundStatus.GATING] * 5
        query = select(Candidate.author, Candidate.status, Proposal.request).join(Proposal)
        rows = session.execute(query.order_by(Candidate.id)).all()
    assert [row.author for row in rows] == [Author.LIBRARY] + [Author.HUMAN] * 12
    assert {row.status for row in rows} == {CandidateStatus.PROPOSED}
    assert len({row.request["salt"] for row in rows[1:]}) == 12


def _count_rounds(session: Session) -> list[RoundStatus]:
    return list(session.scalars(select(Round.status).order_by(Round.number)))


def test_what_is_kept_of_one_that_ended_without_a_finalist_says_so(sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign_id = write_campaign(session, Case(Part.PLANTED, "terse:mini", StrategyName.EVOLVE, 1))
        campaign = session.get_one(Campaign, campaign_id)
        complete_campaign(session, campaign, "No confirmed discovery: nobody was tuned.", None)
    with sessions() as session:
        found = read_outcome(session, campaign_id, slots=2, was_alone=True)
    assert (found["pick"], found["finalists"], found["slot_time"]) == (None, [], None)
    assert found["proposals"]["made"] == 7

"""DiscoPOP's losses, sent as they were published: through gate, trainings, halving and confirmation, and out again."""

from pathlib import Path

import pytest
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Candidate, Evaluation
from discovery_service.domain.authors import Author
from discovery_service.domain.states import CampaignStatus, CandidateStatus, EvaluationStatus
from discovery_service.engine.arenas import register_arena
from discovery_service.engine.bell import make_bell
from discovery_service.engine.by_hand import Sent, propose
from discovery_service.engine.exports import export_module
from discovery_service.errors import UnusableFields
from tests.losses.sources import list_published
from tests.losses.test_export import check_all
from tests.runtime.toy import document
from tests.workers.campaigns import Ran
from tests.workers.conftest import Fleet

SETTING = {"beta": 1.0, "learning_rate": 0.05, "steps": 8}
WITHIN_S = 600.0
STATEFUL, SMOOTHED = "bco_pair_loss", "sigmoid_loss"


@pytest.mark.timeout(900)
def test_the_published_family_is_judged_trained_and_exported(
    sessions: Sessions, fleet: Fleet, redis_url: str, tmp_path: Path
) -> None:
    published = list_published()
    with sessions.begin() as session:
        register_arena(session, document(name="toy", setting=SETTING))
    size = len(published) - 1
    ran = Ran(sessions, make_bell(redis_url), arena="toy", budgets={"candidates": size}, strategy={"round_size": size})
    with sessions.begin() as session:
        with pytest.raises(UnusableFields, match=r"body\.source"):
            propose(session, ran.campaign_id, Sent(STATEFUL, published.pop(STATEFUL)))
        for name, source in published.items():
            values = {"label_smoothing": 0.1} if name == SMOOTHED else {}
            propose(session, ran.campaign_id, Sent(None, source, "As published.", values))
    fleet.start_gate()
    fleet.start_deployed("propose")
    fleet.start_evaluate(slots=2)
    campaign = ran.wait_for_end(deadline_s=WITHIN_S)
    assert campaign.status is CampaignStatus.COMPLETED, campaign.status_reason
    with sessions() as session:
        mine = (Candidate.campaign_id == ran.campaign_id, Candidate.author == Author.HUMAN)
        made = {each.name: each for each in session.scalars(select(Candidate).where(*mine))}
        assert {name: each.status for name, each in made.items()} == dict.fromkeys(published, CandidateStatus.ACCEPTED)
        trained = select(Evaluation.candidate_id).where(Evaluation.status == EvaluationStatus.SUCCEEDED)
        assert {each.id for each in made.values()} <= set(session.scalars(trained))
        check_all({name: export_module(session, each).decode() for name, each in made.items()}, tmp_path)
    assert ran.list_differences() == []

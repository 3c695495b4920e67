"""A plan against the campaign that it tells of, played to its end."""

from typing import Any
from uuid import UUID

import pytest

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import CampaignProgress, Exchange, Proposal, Round
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.plans import Planned
from discovery_service.domain.token_costs import Spent
from discovery_service.engine.exchanges import answer, pose
from discovery_service.engine.plans import REPLY_TOKENS, plan_campaign
from discovery_service.prompts.brief import Message
from discovery_service.prompts.fitting import count_messages
from tests.engine.playing import table
from tests.engine.searching import Search, in_turn

MODELS = [{"kind": "llm", "models": [{"model": "any"}]}]
FEW = ["dpo", "ipo", "slic"]
OVERLAPPING = {"name": "evolve", "round_size": 3}
ONE_BY_ONE = {**OVERLAPPING, "max_open_rounds": 1}


class Usual(Search):
    """Whose models charge what a prompt takes and a usual reply."""

    def __init__(self, sessions: Sessions, **spec: Any) -> None:
        super().__init__(sessions, table({}), in_turn(round_size=3), arena="panel:mini", **spec)

    def answer(self, row_id: UUID) -> None:
        with self.sessions.begin() as session:
            posed = pose(session, row_id, self.worker_id)
            assert posed is not None
            exchange = session.get_one(Exchange, row_id)
            proposal = session.get_one(Proposal, exchange.proposal_id)
            number = session.get_one(Round, proposal.round_id).number
            tokens = count_messages([Message(**each) for each in exchange.messages])
            reply = self.replies(number, proposal.slot, exchange.turn) or ""
            spent = Spent(tokens, REPLY_TOKENS, None) if exchange.reserved_tokens else Spent()
            answer(session, posed, reply, spent)

    def plan(self) -> Planned:
        with self.sessions() as session:
            return plan_campaign(session, CampaignSpec.model_validate(self.get_campaign().spec))


@pytest.mark.parametrize(
    ("spec", "binds", "within"),
    [
        ({"library": list(KNOWN_LOSSES["pairwise"]), "budgets": {"tokens": 15_000}}, "tokens", 0),
        ({"budgets": {"tokens": 60_000}}, "tokens", 1),
        ({"budgets": {"tokens": 60_000}, "strategy": ONE_BY_ONE}, "tokens", 1),
        ({"budgets": {"tokens": 60_000}, "proposers": [*MODELS, {"kind": "symbolic"}]}, "tokens", 2),
        ({"budgets": {"evaluations": 150}}, "evaluations", 0),
        ({"budgets": {"candidates": 7}}, "candidates", 0),
    ],
)
def test_so_many_proposals_are_made_as_were_planned(
    sessions: Sessions, spec: dict[str, Any], binds: str, within: int
) -> None:
    """But for what prompts grow by with what is found."""
    budgets = {"candidates": 20, **spec["budgets"]}
    given = {"library": FEW, "proposers": MODELS, "strategy": OVERLAPPING, **spec, "budgets": budgets}
    search = Usual(sessions, **given)
    planned = search.plan()
    search.search()
    made = len(search.list_proposals())
    assert planned.binds_first == binds
    assert abs(planned.proposals - made) <= within
    assert (planned.proposals == 0) == (made == 0)
    with sessions() as session:
        measured = session.get_one(CampaignProgress, search.campaign_id).evaluations
    # Of a proposal more than was planned the trainings are more than planned as well.
    each = planned.evaluations.search / max(1, planned.proposals)
    assert planned.evaluations.total + max(0, made - planned.proposals) * each >= measured
    if made == 0:
        assert "tokens or dollars" in search.told("search.over")[0]["reason"]
        assert planned.notes[0].startswith("Nobody would be asked: of one question up to ")

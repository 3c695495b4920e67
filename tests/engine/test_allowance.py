"""What a campaign may spend: no budget is exceeded, and a confirmation takes what its search has left."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, CampaignProgress, Exchange, Freeze, Proposal, Round
from discovery_service.domain.power import find_detectable
from discovery_service.domain.states import CampaignStatus, Purpose
from discovery_service.domain.token_costs import Spent
from discovery_service.engine.advance import advance
from discovery_service.engine.arenas import get_arena
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.engine.exchanges import answer, pose
from discovery_service.engine.rounds import SETTLE_TASK
from tests.conftest import RecordingBell
from tests.engine.playing import CALIBRATION, ELSEWHERE, table
from tests.engine.searching import OTHERS, Search, in_turn

MERITS = {OTHERS[0]: 0.5}
CONFIRM = Purpose.CONFIRM
LIBRARY_AND_ROUND, END = 3 * 14 + 14 + 7, 4 * 9


def read_progress(search: Search) -> CampaignProgress:
    with search.sessions() as session:
        return session.get_one(CampaignProgress, search.campaign_id)


def read_plan(search: Search, arena_id: UUID | None = None) -> dict[str, Any]:
    with search.sessions() as session:
        where = (Freeze.campaign_id == search.campaign_id, Freeze.arena_id == (arena_id or search.arena_id))
        return session.scalars(select(Freeze.plan).where(*where)).one()


def lower(search: Search, evaluations: int) -> None:
    with search.sessions.begin() as session:
        campaign = session.get_one(Campaign, search.campaign_id)
        campaign.spec = {**campaign.spec, "budgets": {**campaign.spec["budgets"], "evaluations": evaluations}}


def open_first(search: Search) -> None:
    """Until somebody proposes."""
    search.step()
    while len(search.list_rounds()) < 2:
        search.do(search._list_acts())
        search.step()


def test_a_confirmation_that_wants_more_than_is_left_takes_that_and_says_what_it_finds(sessions: Sessions) -> None:
    """Nobody knows the noise of this arena before its screen, so that too little was kept back."""
    budgets = {"candidates": 2, "evaluations": LIBRARY_AND_ROUND + END + 20}
    search = Search(
        sessions,
        table(MERITS, noise=0.2),
        in_turn(),
        calibration=None,
        budgets=budgets,
        confirmation={"detect": 0.001},
    )
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    plan = read_plan(search)
    # 56 evaluations for four losses and settings are 14 draws of each; every policy has as many.
    assert plan["draws"] == 12
    assert plan["detectable"] == find_detectable(sd=plan["sd"], draws=12, finalists=1, met=2)
    assert plan["detectable"] > 0.001
    assert read_progress(search).evaluations == budgets["evaluations"] - 8


@pytest.mark.parametrize(("left", "draws"), [(4 * 8, 6), (4 * 6 - 1, None)])
def test_a_budget_that_was_lowered_leaves_half_of_the_draws_or_no_confirmation(
    sessions: Sessions, left: int, draws: int | None
) -> None:
    search = Search(sessions, table(MERITS), in_turn(), budgets={"candidates": 2, "evaluations": 500})
    open_first(search)
    lower(search, LIBRARY_AND_ROUND + left)
    search.search()
    campaign = search.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED
    assert read_progress(search).evaluations <= LIBRARY_AND_ROUND + left
    if draws is None:
        assert campaign.status_reason == (
            "No confirmed discovery: of 2 candidates that were looked at, none could be confirmed in table, as the"
            " confirmation would take 9 draws of each loss, 6 at the very least, and the budget leaves 5."
        )
    else:
        assert read_plan(search)["draws"] == draws


@pytest.mark.parametrize(("spare", "draws"), [(12, 12), (0, 9)])
def test_a_held_out_arena_has_what_was_kept_for_it_and_what_the_search_arena_leaves(
    sessions: Sessions, spare: int, draws: int
) -> None:
    """Its calibration came late and would have it take more than that."""
    budgets = {"candidates": 2, "evaluations": LIBRARY_AND_ROUND + END + 3 * 11 + END + spare}
    search = Search(sessions, table(MERITS), in_turn(), held_out=[ELSEWHERE], budgets=budgets)
    open_first(search)
    with sessions.begin() as session:
        elsewhere = get_arena(session, ELSEWHERE)
        elsewhere.calibration = {"library": {**CALIBRATION["library"], "sd": 3.0}}
        elsewhere_id = elsewhere.id
    search.search()
    assert read_plan(search)["draws"] == 9
    assert read_plan(search, elsewhere_id)["draws"] == draws
    assert read_plan(search, elsewhere_id)["detectable"] == find_detectable(sd=3.0, draws=draws, finalists=1, met=2)
    assert read_progress(search).evaluations <= budgets["evaluations"]


class Charged(Search):
    """Whose models charge something for each answer, up to what was reserved."""

    def __init__(self, sessions: Sessions, seed: int, **spec: Any) -> None:
        self.chance = random.Random(seed)
        self.most = 0
        models = [{"kind": "llm", "models": [{"model": "any"}]}]
        super().__init__(
            sessions, table(MERITS), in_turn(), arena="panel:mini", library=["dpo"], proposers=models, **spec
        )

    def answer(self, row_id: UUID) -> None:
        with self.sessions.begin() as session:
            posed = pose(session, row_id, self.worker_id)
            assert posed is not None
            exchange = session.get_one(Exchange, row_id)
            proposal = session.get_one(Proposal, exchange.proposal_id)
            number = session.get_one(Round, proposal.round_id).number
            reply = self.replies(number, proposal.slot, exchange.turn)
            asked = exchange.reserved_tokens or 0
            spent = self.chance.choice([asked, asked // 2, 10])
            answer(session, posed, reply or "", Spent(spent, 0, None))
        self.most = max(self.most, read_progress(self).tokens)


@pytest.mark.parametrize(("seed", "tokens"), [(1, 60_000), (2, 25_000)])
def test_tokens_are_never_exceeded_whatever_an_answer_costs(sessions: Sessions, seed: int, tokens: int) -> None:
    search = Charged(sessions, seed, budgets={"candidates": 12, "tokens": tokens})
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert 0 < search.most <= tokens


def test_patience_ends_a_search_that_finds_nothing_better(sessions: Sessions) -> None:
    search = Search(sessions, table(MERITS), in_turn(), library=["dpo"], budgets={"candidates": 20, "patience": 1})
    search.search()
    assert search.told("search.over")[0]["reason"].startswith("Patience has ended: 1 closed rounds in a row")
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert len(search.list_rounds()) <= 5


def test_a_round_is_rung_for_when_it_comes_to_its_barrier_and_not_after_each_training(
    sessions: Sessions, bell: RecordingBell
) -> None:
    search = Search(sessions, table(MERITS), in_turn(), library=["dpo"], budgets={"candidates": 2})
    search.step()
    while not search._list_at_barrier():
        search.do(search._list_acts())
        search.step()
    [at_barrier] = search._list_at_barrier()
    trained = next(row.id for _, row in search.evaluations())

    def rung(finished: UUID | None) -> list[str]:
        bell.rings.clear()
        with unit_of_work(sessions, bell) as session:
            advance(session, search.campaign_id, finished)
        return [row_id for task, _, row_id in bell.rings if task == SETTLE_TASK]

    assert rung(trained) == []
    # As the gate's step does, and the sweep's where that message was lost.
    assert rung(None) == [str(at_barrier)]

"""What a campaign's page says while it runs: never less than what comes, its stages in order, nothing written."""

from uuid import UUID

import pytest
from sqlalchemy import func, update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Worker
from discovery_service.domain.forecast import CampaignStage
from discovery_service.domain.states import CampaignStatus, Purpose
from discovery_service.engine.campaigns import cancel_campaign, get_campaign, pause_campaign
from discovery_service.engine.outlook import Outlook, read_outlook
from tests.engine.playing import ELSEWHERE, Play, table
from tests.engine.searching import OTHERS, Search, extend, in_turn

BUDGETS = {"candidates": 5, "evaluations": 400}
MERITS = {OTHERS[1]: 0.5}


def look(play: Play) -> Outlook:
    with play.sessions() as session:
        found = read_outlook(session, get_campaign(session, play.campaign_id))
        assert not session.dirty
        assert not session.new
        return found


class Watched(Search):
    """Looks at itself after each step."""

    seen: list[Outlook]

    def step(self, finished: UUID | None = None) -> None:
        super().step(finished)
        self.seen = [*getattr(self, "seen", []), look(self)]


@pytest.fixture
def watched(sessions: Sessions) -> Watched:
    search = Watched(sessions, table(MERITS), in_turn(), held_out=(ELSEWHERE,), budgets=BUDGETS)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    return search


def test_what_comes_is_never_more_than_was_said_and_the_stages_come_in_order(watched: Watched) -> None:
    last = look(watched).spent
    assert last.candidates == BUDGETS["candidates"]
    for each in watched.seen:
        if each.forecast is not None:
            assert each.spent.evaluations + each.forecast.evaluations >= last.evaluations
            assert each.spent.evaluations + each.forecast.evaluations <= BUDGETS["evaluations"]
        for before, most in ((each.spent, each.committed), (each.committed, last)):
            assert before.candidates <= most.candidates
        assert each.spent.evaluations <= each.committed.evaluations <= BUDGETS["evaluations"]
    assert list(dict.fromkeys(each.stage for each in watched.seen)) == list(CampaignStage)
    # From the last freeze on it is exact.
    held_out = [each for each in watched.seen if each.stage is CampaignStage.HELD_OUT and each.forecast is not None]
    assert held_out[-1].forecast is not None
    assert held_out[-1].spent.evaluations + held_out[-1].forecast.evaluations == last.evaluations
    assert look(watched).forecast is None
    with watched.sessions() as session:
        best = get_campaign(session, watched.campaign_id).progress.best or {}
    assert (best["name"], best["author"], best["stage"]) == (OTHERS[1], "symbolic", "confirm")
    assert best["verdict"] == "better than"


@pytest.mark.parametrize("finds", [True, False])
def test_an_extension_is_told_as_a_campaign_is_beside_what_was_spent_before_it(watched: Watched, finds: bool) -> None:
    if finds:
        watched.value = table({**MERITS, OTHERS[8]: 1.0})
    wider = {"candidates": 8, "evaluations": 800}
    extend(watched, **wider)
    watched.seen = [look(watched)]
    watched.search()
    last = look(watched).spent
    assert last.candidates == wider["candidates"]
    for each in watched.seen:
        assert each.spent.evaluations <= each.committed.evaluations <= wider["evaluations"]
        if each.forecast is not None:
            assert last.evaluations <= each.spent.evaluations + each.forecast.evaluations <= wider["evaluations"]
    stages = list(CampaignStage)[1:] if finds else [CampaignStage.SEARCHING, CampaignStage.ENDED]
    assert list(dict.fromkeys(each.stage for each in watched.seen)) == stages


def test_before_it_has_begun_nothing_is_said(sessions: Sessions) -> None:
    search = Search(sessions, table({}), in_turn())
    assert (look(search).stage, look(search).forecast, look(search).spent.wall_time_s) == (None, None, 0.0)


def test_where_it_halts_or_nobody_trains_no_end_is_told(sessions: Sessions) -> None:
    play = Play(sessions, table(MERITS), rounds=[OTHERS[:2]], is_search_over=False)
    play.run(until=Purpose.SCREEN)
    assert _tell(play).endswith(
        "on 1 slots that are this campaign's alone; waiting for models and the gate is not in it."
    )
    with sessions.begin() as session:
        session.execute(update(Worker).values(stopped_at=func.now()))
    assert _tell(play) == "No worker that trains is live."
    with sessions.begin() as session:
        pause_campaign(session, play.campaign_id)
    assert _tell(play).startswith("It is paused")
    with sessions.begin() as session:
        cancel_campaign(session, play.campaign_id)
    assert look(play).stage is CampaignStage.ENDED


def _tell(play: Play) -> str:
    forecast = look(play).forecast
    assert forecast is not None
    return forecast.rests_on

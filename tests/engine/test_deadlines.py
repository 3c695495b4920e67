"""Budgets of time: the search is cut in time for its end, and nothing is begun once one is used up."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from discovery_service.api.schemas.leaderboard import tell_verdict
from discovery_service.db.leaderboard import list_board
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Arena, Campaign, CampaignProgress, Freeze, Worker
from discovery_service.domain.states import (
    CampaignStatus,
    EvaluationStatus,
    ExchangeStatus,
    ProposalStatus,
    Purpose,
    RoundStatus,
)
from discovery_service.engine.advance import list_underway
from discovery_service.engine.arenas import get_arena
from discovery_service.engine.campaigns import get_campaign
from discovery_service.engine.outlook import read_outlook
from discovery_service.engine.standings import rebuild
from discovery_service.errors import Conflict
from tests.engine.playing import ELSEWHERE, table
from tests.engine.searching import OTHERS, Search, extend, in_turn

MERITS = {OTHERS[0]: 0.5, OTHERS[2]: 0.3}
SCREEN, TUNE, CONFIRM = Purpose.SCREEN, Purpose.TUNE, Purpose.CONFIRM
LIBRARY = ("dpo",)
END_S = 4 * 9
"""Nine draws of a finalist, DPO at two settings and what could be the best other loss, each of a second."""


def begin(sessions: Sessions, **spec: Any) -> Search:
    return Search(sessions, table(MERITS), in_turn(), library=LIBRARY, **{"budgets": {"candidates": 40}} | spec)


def work(search: Search, *, at_once: int = 4) -> None:
    """As so many slots would, with a step after each time that all of them have done something."""
    search.step()
    while acts := search._list_acts():
        search.do(acts[:at_once])
        search.step()


def spent(search: Search) -> float:
    with search.sessions() as session:
        return session.get_one(CampaignProgress, search.campaign_id).device_seconds


def pass_time(search: Search, seconds: float) -> None:
    with search.sessions.begin() as session:
        started_at = func.now() - timedelta(seconds=seconds)
        session.execute(update(Campaign).where(Campaign.id == search.campaign_id).values(started_at=started_at))


def limit(search: Search, **budgets: float) -> None:
    """From now on, as by an edit."""
    with search.sessions.begin() as session:
        campaign = session.get_one(Campaign, search.campaign_id)
        campaign.spec = {**campaign.spec, "budgets": {**campaign.spec["budgets"], **budgets}}


def search_until(search: Search, rounds: int) -> None:
    """So many rounds, the library's among them, are closed, and others are under way."""
    search.step()
    while sum(each.status is RoundStatus.CLOSED for each in search.list_rounds()) < rounds:
        search.do(search._list_acts()[:4])
        search.step()


def reason(search: Search) -> str:
    return search.get_campaign().status_reason or ""


def rescored(search: Search) -> int:
    with search.sessions.begin() as session:
        return rebuild(session, search.campaign_id).differed


def test_device_seconds_end_the_search_in_time_for_the_confirmation(sessions: Sessions) -> None:
    device_seconds = 87.5
    search = begin(sessions, budgets={"candidates": 40, "device_seconds": device_seconds})
    work(search)
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert reason(search).startswith("Confirmed")
    assert search.counts(CONFIRM)["dpo"] == 18
    # The search had all but what the end was expected to take, and no more than what ran when it was cut; the end took
    # less, as no other loss of the library is there.
    assert device_seconds - 9 - 1 < spent(search) < device_seconds - 9 + 4
    [over] = search.told("search.over")
    assert over["reason"].startswith("device_seconds is limited to 87.5: ")
    assert "expected to take another 36" in over["reason"]
    assert {each.status for each in search.list_rounds()} == {RoundStatus.CLOSED}


def test_whom_the_cut_meets_has_no_standing_and_is_no_finalist(sessions: Sessions) -> None:
    search = begin(sessions)
    search_until(search, 2)
    screened = set(search.standings(SCREEN))
    under_way = {name for name, row in search.evaluations() if row.status is EvaluationStatus.QUEUED}
    running = next(row.id for name, row in search.evaluations() if row.status is EvaluationStatus.QUEUED)
    held = search.claim(running)
    assert held is not None
    assert under_way
    limit(search, device_seconds=spent(search) + END_S)
    search.step()
    assert not {name for name, row in search.evaluations() if row.status is EvaluationStatus.QUEUED} & under_way
    # Nobody waits for the one that runs: its loss is out of the race.
    assert search.counts(CONFIRM)
    assert search.get(running).status is EvaluationStatus.RUNNING
    with sessions.begin() as session:
        search._end(session, held)
    search.search()
    assert search.get(running).status is EvaluationStatus.SUCCEEDED
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    cut = {each.slot for _, each in search.list_proposals() if "cut" in (each.outcome or {})}
    assert cut
    assert not set(search.standings(SCREEN)) & under_way
    assert set(search.standings(SCREEN)) == screened - under_way
    assert not set(search.standings(CONFIRM)) & under_way
    with sessions() as session:
        board = list_board(session, search.campaign_id, session.get_one(Arena, search.arena_id))
    told = {tell_verdict(row, "dpo") for row in board if row.candidate.name in under_way}
    assert told == {"no verdict: the time ended before it was screened"}
    assert rescored(search) == 0
    assert search.list_differing() == []


def test_questions_and_losses_at_the_gate_are_dropped_by_the_cut(sessions: Sessions) -> None:
    search = begin(sessions)
    search_until(search, 1)
    while not any(each.status is ProposalStatus.ASKING for _, each in search.list_proposals()):
        act, row_id = search._list_acts()[0]
        act(row_id)
        search.step()
    limit(search, device_seconds=spent(search) + END_S)
    search.step()
    first = search.list_proposals()[0][1]
    assert first.status is ProposalStatus.CANCELLED
    assert first.outcome is not None
    assert first.outcome["cut"]["code"] == "device_seconds"
    assert [each.status for each in search.list_exchanges(first.id)] == [ExchangeStatus.CANCELLED]
    assert {each["number"] for each in search.told("round.cut")} == {number for number, _ in search.list_proposals()}
    search.search()
    # All that is left are known losses.
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert "none came through tuning and screen. The search was cut: device_seconds is limited" in reason(search)


def test_what_comes_back_after_the_cut_is_not_begun_again(sessions: Sessions) -> None:
    """A lost worker's evaluation, and one that a person has tried again: nobody would ever take it off the queue."""
    search = begin(sessions)
    search_until(search, 2)
    waiting = search.list_waiting()
    held = search.claim(waiting[0])
    assert held is not None
    limit(search, device_seconds=spent(search) + END_S)
    search.step()
    search.crash(waiting[0], held)
    with sessions.begin() as session:
        row = session.get_one(type(search.get(waiting[0])), waiting[0])
        row.status, row.finished_at = EvaluationStatus.QUEUED, None
    if search.get_campaign().status is CampaignStatus.PAUSED:
        with sessions.begin() as session:
            session.get_one(Campaign, search.campaign_id).status = CampaignStatus.RUNNING
    search.step()
    assert search.get(waiting[0]).status is EvaluationStatus.CANCELLED
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED


def test_wall_time_ends_a_campaign_in_which_nothing_happens(sessions: Sessions) -> None:
    """No worker lives: all that comes is the sweep, which takes a step of what `list_underway` names."""
    search = begin(sessions, budgets={"wall_time_s": 600.0})
    search.step()
    pass_time(search, 599)
    search.step()
    assert search.get_campaign().status is CampaignStatus.RUNNING
    pass_time(search, 600)
    with sessions() as session:
        assert list_underway(session) == [search.campaign_id]
    search.step()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert reason(search).startswith("No confirmed discovery: ")
    assert "wall_time_s is limited to 600: 600" in reason(search)
    assert search.list_waiting() == []


def test_wall_time_is_kept_for_the_end_by_the_slots_that_live(sessions: Sessions) -> None:
    search = begin(sessions)
    search_until(search, 2)
    with sessions.begin() as session:
        for worker in session.scalars(select(Worker)):
            worker.slots, worker.seen_at = 4, func.now()
    limit(search, wall_time_s=1000.0)
    pass_time(search, 1000 - END_S / 4 - 1)
    search.step()
    assert search.told("search.over") == []
    pass_time(search, 1000 - END_S / 4)
    search.step()
    assert "expected to take another 9." in search.told("search.over")[0]["reason"]
    search.search()
    assert reason(search).startswith("Confirmed")


def test_what_is_used_up_before_the_confirmation_ends_it_without_a_verdict(sessions: Sessions) -> None:
    search = begin(sessions, budgets={"candidates": 2})
    search.step()
    while not search.counts(CONFIRM):
        search.do(search._list_acts()[:4])
        search.step()
    first, second, *_ = search.list_waiting()
    search.measure(first)
    held = search.claim(second)
    assert held is not None
    limit(search, device_seconds=spent(search))
    search.step(first)
    # What runs may end; nothing else is begun.
    assert search.list_waiting() == []
    assert search.get_campaign().status is CampaignStatus.RUNNING
    with sessions.begin() as session:
        search._end(session, held)
    search.step(second)
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert reason(search).startswith("No confirmed discovery")
    assert "Without a verdict, as device_seconds is limited to" in reason(search)
    assert OTHERS[0] in reason(search)
    assert all(each.verdict is None for each in search.standings(CONFIRM).values())
    assert rescored(search) == 0


def test_a_verdict_stands_where_only_a_held_out_arena_was_not_reached(sessions: Sessions) -> None:
    search = begin(sessions, budgets={"candidates": 2}, held_out=[ELSEWHERE])
    search.step()
    with sessions() as session:
        elsewhere = get_arena(session, ELSEWHERE).id
    while search.get_campaign().status is CampaignStatus.RUNNING:
        here = [(act, row) for act, row in search._list_acts() if act != search.measure or not apart(search, row)]
        if not here:
            break
        search.do(here[:4])
        search.step()
    limit(search, device_seconds=spent(search))
    search.step()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert reason(search).startswith("Confirmed")
    assert f"Not confirmed in {search.get_campaign().spec['held_out_arenas'][0]}: device_seconds is" in reason(search)
    with sessions() as session:
        assert session.scalars(select(Freeze).where(Freeze.arena_id == elsewhere)).all() == []


def apart(search: Search, row_id: Any) -> bool:
    return search.get(row_id).arena_id != search.arena_id


@pytest.mark.parametrize("name", ["device_seconds", "wall_time_s"])
def test_without_any_time_nothing_is_begun(sessions: Sessions, name: str) -> None:
    search = begin(sessions, budgets={name: 0.0})
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert reason(search) == f"Nothing was begun: {name} is limited to 0, and 0 are spent."
    assert search.list_rounds() == []


def test_a_library_that_is_cut_leaves_nothing_to_compare_and_that_is_said(sessions: Sessions) -> None:
    search = begin(sessions, budgets={"device_seconds": END_S + 7.0})
    work(search)
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert "The search was cut: device_seconds is limited to 43" in reason(search)
    assert len(search.list_rounds()) == 1
    assert spent(search) <= END_S + 7
    assert not set(search.standings(SCREEN)) - set(LIBRARY)


def begin_to_confirm(search: Search) -> None:
    """All that was sealed waits, and a part of it is measured."""
    search.search(until=lambda: bool(search.counts(CONFIRM)))
    search.do(search._list_acts()[:5])


def list_sealed(search: Search) -> list[Any]:
    with search.sessions() as session:
        query = select(Freeze.arena_id, Freeze.extension, Freeze.plan).where(Freeze.campaign_id == search.campaign_id)
        return sorted(map(tuple, session.execute(query)), key=str)


def test_more_time_while_the_last_training_runs_lets_the_dropped_ones_wait_again(sessions: Sessions) -> None:
    search = begin(sessions, budgets={"candidates": 4})
    begin_to_confirm(search)
    held = search.claim(search.list_waiting()[0])
    assert held is not None
    limit(search, device_seconds=spent(search))
    search.step()
    assert not search.list_waiting()
    limit(search, device_seconds=1000.0)
    with sessions.begin() as session:
        search._end(session, held)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert reason(search).startswith("Confirmed")
    assert search.counts(CONFIRM)["dpo"] == 18


def test_more_time_after_the_end_finishes_what_was_sealed_and_seals_nothing_anew(sessions: Sessions) -> None:
    search = begin(sessions, budgets={"candidates": 4}, held_out=[ELSEWHERE])
    begin_to_confirm(search)
    limit(search, device_seconds=spent(search))
    search.step()
    assert "as device_seconds is limited to" in reason(search)
    (sealed,) = list_sealed(search)
    extend(search, device_seconds=1000.0)
    search.search()
    assert reason(search).startswith(
        "Extension 1 has no new finalist, so that what was frozen before it stands. Confirmed:"
    )
    assert sealed in list_sealed(search)
    assert [extension for _, extension, _ in list_sealed(search)] == [0, 0]
    assert rescored(search) == 0


def test_the_time_between_an_end_and_an_extension_is_nobodys(sessions: Sessions) -> None:
    search = begin(sessions, budgets={"candidates": 2, "wall_time_s": 3600.0})
    search.search()
    day = timedelta(days=1)
    with sessions.begin() as session:
        long_ago = {"started_at": Campaign.started_at - day, "finished_at": Campaign.finished_at - day}
        session.execute(update(Campaign).where(Campaign.id == search.campaign_id).values(**long_ago))
    extend(search, candidates=4)
    search.search()
    assert len(search.list_proposals()) == 4
    with sessions() as session:
        assert read_outlook(session, get_campaign(session, search.campaign_id)).spent.wall_time_s < 3600
    assert search.list_differing() == []


def test_where_the_cut_met_the_library_there_is_nothing_to_extend(sessions: Sessions) -> None:
    search = begin(sessions)
    search.step()
    search.do(search._list_acts())
    search.step()
    limit(search, wall_time_s=60.0)
    pass_time(search, 61.0)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    with pytest.raises(Conflict, match="dpo, with which everything is compared, was not measured"):
        extend(search, wall_time_s=3600.0)

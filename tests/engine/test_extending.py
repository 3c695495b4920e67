"""Completed campaigns that are given more: they search on, and confirm anew what they find, on draws of its own."""

import pytest
from sqlalchemy import select

from discovery_service.db.leaderboard import list_board
from discovery_service.db.queries import list_frozen_losses, list_standings
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Arena, CampaignProgress, Candidate, Evaluation, Freeze, Seal, Standing
from discovery_service.domain.campaign import Budgets
from discovery_service.domain.measuring import Setting
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, Purpose
from discovery_service.engine.campaigns import archive_campaign, cancel_campaign, edit_campaign
from discovery_service.engine.evaluations import retry_evaluation
from discovery_service.engine.exports import find_best, read_facts
from discovery_service.engine.standings import rebuild
from discovery_service.errors import Conflict, IllegalTransition, UnusableFields
from tests.engine.playing import ELSEWHERE, table
from tests.engine.searching import OTHERS, Search, extend, in_turn, say

EARLY, LATE = OTHERS[1], OTHERS[3]
VALUE = table({EARLY: 0.4, LATE: 0.8})


def completed(sessions: Sessions, **spec: object) -> Search:
    given = {"budgets": {"candidates": 2}, "library": ["dpo", "ipo"], **spec}
    search = Search(sessions, VALUE, in_turn(), **given)  # type: ignore[arg-type]
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    return search


def draws(search: Search) -> dict[int, set[tuple[str, str]]]:
    """Of confirmations, by extension, with the arena of each."""
    query = (
        select(Freeze.extension, Evaluation.arena_id, Evaluation.draw)
        .join(Evaluation, Evaluation.seal_id == Freeze.id)
        .where(Freeze.campaign_id == search.campaign_id)
    )
    found: dict[int, set[tuple[str, str]]] = {}
    with search.sessions() as session:
        for extension, arena_id, draw in session.execute(query):
            found.setdefault(extension, set()).add((str(arena_id), draw))
    return found


def test_an_extension_searches_on_and_confirms_on_draws_that_nobody_has_seen(sessions: Sessions) -> None:
    search = completed(sessions, held_out=[ELSEWHERE])
    assert search.standings(Purpose.CONFIRM)[EARLY].verdict == "better than"
    extend(search, candidates=4)
    assert search.get_campaign().status is CampaignStatus.RUNNING
    search.search()
    campaign = search.get_campaign()
    assert (campaign.status, campaign.extension) == (CampaignStatus.COMPLETED, 1)
    reason = campaign.status_reason or ""
    assert reason.startswith("Extension 1. Confirmed: of 4 candidates that were looked at, better than dpo in table is")
    assert LATE in reason
    # Rounds go on where they were, and see what they would have seen in one search.
    assert [each.snapshot_rounds for each in search.list_rounds()] == [[], [0], [0]]
    first, second = draws(search)[0], draws(search)[1]
    assert (len(first), len(second)) == (18, 18)
    assert not {draw for _, draw in first} & {draw for _, draw in second}
    assert search.list_differing() == []


def test_what_was_confirmed_before_stays_and_the_latest_counts(sessions: Sessions) -> None:
    search = completed(sessions)
    before = search.standings(Purpose.CONFIRM)[EARLY].lower
    extend(search, candidates=4)
    search.search()
    with sessions() as session:
        rows = [each for each in list_standings(session, search.campaign_id) if each.standing.stage == "confirm"]
        frozen = list_frozen_losses(session, search.campaign_id)
        arena = session.get_one(Arena, search.arena_id)
        board = {row.candidate.name: row for row in list_board(session, search.campaign_id, arena)}
        best = find_best(session, search.campaign_id)
        progress = session.get_one(CampaignProgress, search.campaign_id)
    finalists = [(each.freeze.extension, each.name) for each in frozen if each.finalist.role == "finalist"]
    assert finalists == [(0, EARLY), (1, LATE)]
    looked_at = {each.freeze.extension: each.freeze.plan["looked_at"] for each in frozen}
    assert looked_at == {0: 2, 1: 4}
    told = {(each.standing.extension, each.name): each.standing for each in rows}
    assert told[0, EARLY].verdict == told[1, LATE].verdict == "better than"
    # DPO was confirmed twice; on the board stands the last time.
    assert told[0, "dpo"].figures != told[1, "dpo"].figures
    assert board["dpo"].confirm is not None
    assert board["dpo"].confirm.extension == 1
    early = board[EARLY].confirm
    assert early is not None
    assert (early.extension, early.lower) == (0, before)
    assert best is not None
    assert best.row.candidate.name == LATE
    assert (progress.best or {})["name"] == LATE


def test_a_finalist_that_is_confirmed_again_leaves_with_both_of_its_chances(sessions: Sessions) -> None:
    confirmation = {"finalists": 2, "min_draws": 9, "detect": 0.5}
    search = completed(sessions, confirmation=confirmation)
    before = search.standings(Purpose.CONFIRM)[EARLY]
    extend(search, candidates=4)
    search.search()
    with sessions() as session:
        candidate = session.scalars(
            select(Candidate).where(Candidate.campaign_id == search.campaign_id, Candidate.name == EARLY)
        ).one()
        facts = read_facts(session, candidate)
    confirmed = facts.confirmation
    assert confirmed is not None
    assert [met.difference.mean for met in confirmed.before] == [before.difference]
    assert confirmed.met[0].verdict == confirmed.before[0].verdict == "better than"
    assert facts.looked_at == 4


def test_what_an_extension_has_written_is_what_a_rebuild_finds(sessions: Sessions) -> None:
    search = completed(sessions)
    extend(search, candidates=4)
    search.search()
    with sessions.begin() as session:
        found = rebuild(session, search.campaign_id)
        stored = session.scalars(select(Standing).where(Standing.campaign_id == search.campaign_id)).all()
    assert (found.differed, found.standings) == (0, len(stored))
    assert {each.extension for each in stored} == {0, 1}


def test_beside_a_new_finalist_one_is_confirmed_again_under_another_seal(sessions: Sessions) -> None:
    search = completed(sessions, confirmation={"finalists": 2})
    extend(search, candidates=4)
    search.search()
    with sessions() as session:
        freezes = select(Freeze.id).where(Freeze.campaign_id == search.campaign_id)
        seals = session.scalars(select(Seal.digest).where(Seal.freeze_id.in_(freezes))).all()
    assert len(set(seals)) == 2
    assert search.counts(Purpose.CONFIRM)[EARLY] == 18


def shine(name: str, setting: Setting, policy: int, purpose: Purpose, draw: str) -> float | None:
    """One that came late is far ahead of all in the screen, and no better than DPO when it is confirmed."""
    luck = 3.0 if name == LATE and purpose is not Purpose.CONFIRM else 0.0
    found = VALUE(name, setting, policy, purpose, draw)
    return None if found is None else found + luck - (0.8 if name == LATE else 0.0)


@pytest.mark.parametrize("has_draws", [True, False])
def test_an_extension_that_confirms_nothing_does_not_deny_what_was_confirmed_before(
    sessions: Sessions, has_draws: bool
) -> None:
    search = completed(sessions, budgets={"candidates": 2, "evaluations": 200})
    search.value = shine
    before = search.standings(Purpose.CONFIRM)[EARLY]
    extend(search, candidates=4, evaluations=400)
    if not has_draws:
        search.search(until=lambda: len(search.list_rounds()) == 3)
        with sessions() as session:
            spent = session.get_one(CampaignProgress, search.campaign_id).evaluations
        budgets = Budgets(candidates=4, evaluations=spent + 40)
        with sessions.begin() as session:
            edit_campaign(session, search.campaign_id, name=None, notes=None, guidance=None, budgets=budgets)
    search.search()
    reason = search.get_campaign().status_reason or ""
    why = "none was confirmed" if has_draws else "none could be confirmed"
    assert reason.startswith(f"Extension 1. No confirmed discovery: of 4 candidates that were looked at, {why}")
    told = f"{before.difference:.3g} [{before.lower:.3g}, {before.upper:.3g}]"
    assert reason.endswith(f" Confirmed before it, and not confirmed anew: {EARLY} (symbolic) by {told}.")
    with sessions() as session:
        best = session.get_one(CampaignProgress, search.campaign_id).best or {}
        left = find_best(session, search.campaign_id)
    assert (best["name"], best["stage"], best["verdict"]) == (EARLY, "confirm", "better than")
    assert left is not None
    assert left.row.candidate.name == EARLY


def test_nothing_new_is_no_second_chance_for_what_was_confirmed(sessions: Sessions) -> None:
    """Neither where the budget had no room for another proposal, nor where all that came was refused."""
    search = Search(
        sessions,
        VALUE,
        lambda number, slot, _: say(OTHERS[slot] if number == 1 else "nonsense"),
        budgets={"candidates": 2},
        library=["dpo", "ipo"],
    )
    search.search()
    before = search.counts(Purpose.CONFIRM)
    given: list[dict[str, object]] = [{"evaluations": 70}, {"evaluations": None, "candidates": 4}]
    for extension, budgets in enumerate(given, start=1):
        with sessions.begin() as session:  # as if it had been bounded from the start
            campaign = search.get_campaign()
            spec = {**campaign.spec, "budgets": {**campaign.spec["budgets"], "evaluations": 60}}
            session.merge(campaign).spec = spec
        extend(search, **budgets)
        search.search()
        campaign = search.get_campaign()
        assert campaign.status is CampaignStatus.COMPLETED
        assert (campaign.status_reason or "").startswith(
            f"Extension {extension} has no new finalist, so that what was frozen before it stands. Confirmed:"
        )
    assert len(search.list_rounds()) == 3
    assert search.counts(Purpose.CONFIRM) == before


def test_a_hopeless_loss_buys_those_ahead_of_it_no_second_chance(sessions: Sessions) -> None:
    given = {"budgets": {"candidates": 2}, "library": ["dpo", "ipo"], "confirmation": {"finalists": 1}}
    search = Search(sessions, table({EARLY: 0.4, LATE: -0.4}), in_turn(), **given)  # type: ignore[arg-type]
    search.search()
    before = search.counts(Purpose.CONFIRM)
    assert before[EARLY]
    for extension, candidates in ((1, 3), (2, 4)):
        extend(search, candidates=candidates)
        search.search()
        reason = search.get_campaign().status_reason or ""
        assert reason.startswith(
            f"Extension {extension} has no new finalist, so that what was frozen before it stands."
        )
        assert EARLY in reason
    assert search.counts(Purpose.CONFIRM) == before
    with sessions() as session:
        assert search.replay(session).differences == []


def test_the_end_of_an_extension_is_kept_back_beside_what_the_first_has_spent(sessions: Sessions) -> None:
    search = completed(sessions, budgets={"candidates": 2, "evaluations": 200})
    with sessions() as session:
        spent = session.get_one(CampaignProgress, search.campaign_id).evaluations
    extend(search, candidates=50, evaluations=spent + 70)
    search.search()
    with sessions() as session:
        progress = session.get_one(CampaignProgress, search.campaign_id)
    assert search.get_campaign().extension == 1
    assert len(search.list_rounds()) > 2
    assert progress.evaluations <= spent + 70
    assert search.standings(Purpose.CONFIRM)[LATE].verdict == "better than"
    assert search.list_differing() == []


def test_a_campaign_that_was_extended_twice_is_derived_again_with_the_budgets_that_each_freeze_had(
    sessions: Sessions,
) -> None:
    search = completed(sessions, budgets={"candidates": 2, "evaluations": 250}, held_out=[ELSEWHERE])
    for candidates, evaluations in ((4, 500), (6, 800)):
        extend(search, candidates=candidates, evaluations=evaluations)
        search.search()
    with sessions() as session:
        plans = session.scalars(select(Freeze.plan).where(Freeze.campaign_id == search.campaign_id)).all()
    assert len(plans) > 2
    assert search.list_differing() == []


def test_a_search_that_patience_ended_goes_on_with_more_of_it(sessions: Sessions) -> None:
    best_first = table({OTHERS[0]: 0.5})
    search = Search(sessions, best_first, in_turn(), library=["dpo"], budgets={"candidates": 8, "patience": 1})
    search.search()
    rounds = len(search.list_rounds())
    extend(search, patience=100)
    search.search()
    assert len(search.list_rounds()) > rounds


def test_what_was_raised_while_the_end_was_confirmed_is_more_than_the_search_had(sessions: Sessions) -> None:
    search = Search(sessions, VALUE, in_turn(), budgets={"candidates": 2}, library=["dpo", "ipo"])
    search.search(until=lambda: bool(search.standings(Purpose.CONFIRM)))
    more = Budgets(candidates=4)
    with sessions.begin() as session:
        edit_campaign(session, search.campaign_id, name=None, notes=None, guidance=None, budgets=more)
    search.search()
    assert (search.get_campaign().status, len(search.list_rounds())) == (CampaignStatus.COMPLETED, 2)
    extend(search, candidates=4)
    search.search()
    assert (search.get_campaign().extension, len(search.list_rounds())) == (1, 3)
    assert search.list_differing() == []


def test_only_a_completed_campaign_is_extended_and_only_by_more(sessions: Sessions) -> None:
    search = completed(sessions)
    # Where there was no limit, a new one leaves less room.
    for narrower in ({"candidates": 2, "target": 0.5}, {"evaluations": 500}):
        with pytest.raises(UnusableFields) as refused:
            extend(search, **narrower)
        told = "raises no limit, so that nothing more could be proposed; those of the search were candidates=2"
        assert refused.value.fields == {"body.budgets": told}
    with sessions.begin() as session:
        archive_campaign(session, search.campaign_id, archived=True)
    with pytest.raises(Conflict, match="archived"):
        extend(search, candidates=3)
    with sessions.begin() as session:
        archive_campaign(session, search.campaign_id, archived=False)
    for _ in range(2):  # said twice it is done once
        extend(search, candidates=3)
        assert search.get_campaign().extension == 1
    (told,) = search.told("campaign.extended")
    assert (told["extension"], told["budgets"]) == (1, {"candidates": 3})
    assert told["was"]["budgets"]["candidates"] == 2, "a replay goes by it"
    with pytest.raises(IllegalTransition, match="A running campaign cannot be extended"):
        extend(search, candidates=9)
    with sessions.begin() as session:
        cancel_campaign(session, search.campaign_id)
    with pytest.raises(IllegalTransition, match="A cancelled campaign cannot be extended"):
        extend(search, candidates=9)


def test_a_training_that_the_end_has_dropped_does_not_hold_up_the_extension(sessions: Sessions) -> None:
    search = Search(sessions, VALUE, in_turn(), budgets={"candidates": 2}, library=["dpo", "ipo"])
    while not search.list_waiting():
        search.step()
        for act, row_id in search._list_acts():
            if act != search.measure:
                act(row_id)
    given_up = next(row.id for name, row in search.evaluations() if name == "ipo")
    search.crash(given_up)
    with sessions.begin() as session:
        session.merge(search.get_campaign()).status = CampaignStatus.RUNNING
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    with sessions.begin() as session:
        session.merge(search.get_campaign()).status = CampaignStatus.RUNNING
        retry_evaluation(session, given_up)
        session.flush()
        session.get_one(Evaluation, given_up).status = EvaluationStatus.CANCELLED
        session.merge(search.get_campaign()).status = CampaignStatus.COMPLETED
    extend(search, candidates=4)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert search.get(given_up).status is EvaluationStatus.SUCCEEDED

"""Campaigns from accepted candidates to their verdicts, on the real database, with values from a table."""

import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate, Event, Finalist, Freeze, Measurement, Proposal, Round, Seal
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, Purpose, RoundStatus
from discovery_service.engine.arenas import get_arena
from discovery_service.engine.campaigns import get_campaign, pause_campaign, resume_campaign
from discovery_service.engine.claim import crash
from discovery_service.engine.entries import read_field
from discovery_service.engine.evaluations import retry_evaluation
from discovery_service.engine.freeze import freeze_search
from discovery_service.engine.verdicts import proceed
from discovery_service.errors import Conflict
from tests import rows
from tests.engine.playing import ARENA, ELSEWHERE, LIBRARY, Play, table
from tests.waiting import wait_for_blocked

TUNE, SCREEN, CONFIRM = Purpose.TUNE, Purpose.SCREEN, Purpose.CONFIRM
PLANTED = table({"cdpo": 0.5, "exp": 0.1, "lrml": -0.3, "ipo": 0.05})


def finalists(play: Play) -> dict[str, str]:
    with play.sessions() as session:
        query = select(Candidate.name, Finalist.role).join(Finalist, Finalist.candidate_id == Candidate.id)
        return dict(session.execute(query).all())


def test_a_planted_loss_is_found_confirmed_and_told(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED)
    play.run()
    campaign = play.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED
    assert campaign.status_reason is not None
    assert campaign.status_reason.startswith("Confirmed: of 3 candidates that were looked at, better than dpo in ")
    # The best of the library is frozen beside DPO; cdpo is not in it here.
    assert finalists(play) == {"cdpo": "finalist", "dpo": "reference", "ipo": "reference"}
    confirmed = play.standings(CONFIRM)["cdpo"]
    assert confirmed.verdict == "better than"
    assert confirmed.lower is not None
    assert confirmed.lower < 0.5 < (confirmed.upper or 0)
    assert confirmed.figures["against"]["ipo"]["difference"] == pytest.approx(0.45, abs=0.05)
    assert set(confirmed.figures["against"]["dpo"]["effects"]) == {"0", "1", "2"}


@pytest.mark.parametrize("author", [Author.RECORDED, Author.SYMBOLIC])
def test_who_found_it_is_said_with_the_find(sessions: Sessions, author: Author) -> None:
    """A recording is no find of this search."""
    play = Play(sessions, PLANTED, rounds=[])
    play.add_round(["cdpo"], author=author)
    play.run()
    assert f"better than dpo in table is cdpo ({author.value}) by 0." in (play.get_campaign().status_reason or "")


def test_who_finishes_costs_the_whole_plan_and_who_is_halved_costs_seven(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo", "exp", "lrml"), ("sign", "aot")])
    play.run()
    assert play.stopped() == [None, [2], [0]]
    whole = dict.fromkeys((*LIBRARY, "cdpo", "exp", "aot"), 11)
    assert play.counts(TUNE) == whole | {"lrml": 7, "sign": 7}
    assert play.counts(SCREEN) == dict.fromkeys(whole, 3)
    # DPO at both settings between which its tuning chose.
    assert play.counts(CONFIRM) == {"cdpo": 9, "dpo": 18, "ipo": 9}
    curve = play.standings(SCREEN)["cdpo"].figures["curve"]
    assert sorted(len(each["values"]) for each in curve) == [1, 1, 1, 1, 1, 3, 3]
    assert play.standings(SCREEN)["cdpo"].setting in [each["setting"] for each in curve if len(each["values"]) == 3]
    # Those that stopped have no standing: there is no difference that tuning draws may show.
    assert set(play.standings(SCREEN)) == set(whole)


@pytest.mark.parametrize("seed", [1, 2])
def test_in_any_order_and_with_steps_lost_and_doubled_the_same_rows_come_about(sessions: Sessions, seed: int) -> None:
    one, other = (Play(sessions, PLANTED, rounds=[("cdpo", "exp")], library=("dpo", "ipo")) for _ in range(2))
    one.run()
    other.run(chance=random.Random(seed), lost=0.5)
    for _ in range(2):
        other.step()
    assert one.keys() == other.keys()
    assert one.get_campaign().status_reason == other.get_campaign().status_reason
    for stage in (SCREEN, CONFIRM):
        ours, theirs = one.standings(stage), other.standings(stage)
        assert {name: (row.lower, row.verdict, row.figures) for name, row in ours.items()} == {
            name: (row.lower, row.verdict, row.figures) for name, row in theirs.items()
        }


def test_nothing_of_a_confirmation_exists_before_the_seal_and_all_of_it_follows_from_it(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED)
    play.run(until=CONFIRM)
    with sessions() as session:
        frozen = session.scalars(select(Freeze)).one()
        seal = session.get_one(Seal, frozen.id)
        kinds = [(event.kind, event.payload.get("purpose")) for event in session.query(Event).order_by(Event.id)]
    assert frozen.plan == {
        "draws": 9,
        "finalists": 1,
        "looked_at": 3,
        "level": pytest.approx(0.95),
        "base_policies": [0, 1, 2],
        "detect": 1.0,
        "detectable": pytest.approx(0.0775, abs=0.005),
        "sd": 0.06,
        "sd_source": "calibration",
        "spare": None,
    }
    assert len(seal.digest) == 64
    sealed = kinds.index(("freeze.sealed", None))
    assert ("evaluation.queued", "confirm") not in kinds[:sealed]
    assert all(
        row.seal_id == frozen.id and row.created_at >= seal.created_at for _, row in play.evaluations(purpose=CONFIRM)
    )
    assert Counter(row.base_policy for _, row in play.evaluations(purpose=CONFIRM)) == {0: 12, 1: 12, 2: 12}
    # Measured by none: the rows are there with no number and no verdict.
    assert {row.verdict for row in play.standings(CONFIRM).values()} == {None}


def test_no_peeking_a_confirmation_says_nothing_before_all_of_it_is_measured(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED)
    play.run(until=CONFIRM)
    waiting = play.list_waiting()
    play.measure(*waiting[:-1])
    play.step(waiting[0])
    for row in play.standings(CONFIRM).values():
        assert (row.difference, row.lower, row.verdict) == (None, None, None)
        assert "means" not in row.figures or row.draws == 9
    assert play.get_campaign().status is CampaignStatus.RUNNING
    play.measure(waiting[-1])
    play.step(waiting[-1])
    assert play.standings(CONFIRM)["cdpo"].verdict == "better than"


def test_the_rerun_of_a_campaign_repeats_its_confirm_draws_and_another_seed_has_others(sessions: Sessions) -> None:
    draws = []
    for seed in (1, 1, 2):
        play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"), seed=seed)
        play.run(until=CONFIRM)
        draws.append({row.draw for _, row in play.evaluations(purpose=CONFIRM)})
    assert draws[0] == draws[1]
    assert not draws[0] & draws[2]


def test_a_placebo_that_is_dpo_on_every_draw_is_not_distinguishable(sessions: Sessions) -> None:
    play = Play(sessions, table({}, noise=0.0), rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    row = play.standings(CONFIRM)["cdpo"]
    assert (row.difference, row.lower, row.upper, row.verdict) == (0, 0, 0, "not distinguishable from")
    assert (play.get_campaign().status_reason or "").startswith("No confirmed discovery: of 1 candidates")


def test_a_campaign_without_a_proposed_finalist_ends_without_a_freeze(sessions: Sessions) -> None:
    play = Play(sessions, table({}, failing=["cdpo", "exp"]), rounds=[("cdpo", "exp")])
    play.run()
    campaign = play.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED
    assert (campaign.status_reason or "").endswith(
        "2 candidates that were looked at in table, none came through tuning and screen."
    )
    assert finalists(play) == {}
    # Every training of theirs failed and was one of their trainings; the one that goes on finishes its plan too.
    assert play.counts(TUNE) == dict.fromkeys((*LIBRARY, "cdpo"), 11) | {"exp": 7}
    assert set(play.standings(SCREEN)) == set(LIBRARY)


def test_where_dpo_fails_nothing_is_compared_and_that_is_said(sessions: Sessions) -> None:
    play = Play(sessions, table({}, failing=["dpo"]), rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    assert "dpo did not come through" in (play.get_campaign().status_reason or "")
    assert {row.difference for row in play.standings(SCREEN).values()} == {None}


def test_one_that_fails_on_a_screen_draw_has_no_interval_and_is_no_finalist(sessions: Sessions) -> None:
    def value(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
        fails = name == "cdpo" and (purpose, draw) == (SCREEN, "1")
        return None if fails else PLANTED(name, setting, policy, purpose, draw)

    play = Play(sessions, value, rounds=[("cdpo",), ("exp",)])
    play.run()
    row = play.standings(SCREEN)["cdpo"]
    assert (row.draws, row.difference, row.lower) == (2, None, None)
    assert row.figures["failed"] == [{"base_policy": 0, "draw": "1", "code": "non_finite"}]
    assert finalists(play)["exp"] == "finalist"
    assert "cdpo" not in finalists(play)


def test_a_finalist_that_fails_on_a_confirm_draw_gets_no_verdict(sessions: Sessions) -> None:
    def value(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
        fails = name == "cdpo" and purpose is CONFIRM and policy == 2
        return None if fails else PLANTED(name, setting, policy, purpose, draw)

    play = Play(sessions, value, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    row = play.standings(CONFIRM)["cdpo"]
    assert (row.draws, row.difference, row.verdict, len(row.figures["failed"])) == (6, None, None, 3)
    reason = play.get_campaign().status_reason or ""
    assert reason.startswith("No confirmed discovery")
    assert reason.endswith("without a number: cdpo (symbolic).")


def test_a_known_loss_and_a_twin_of_one_are_no_finalists(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("exp",)])
    for twin in ("ipo", "apo_down"):  # of the campaign's library, and of a loss that is not in it
        name = {"ipo": "cdpo", "apo_down": "lrml"}[twin]
        play.add_round([name], author=Author.HUMAN, twin={"name": twin, "cosine": 0.999, "is_twin": True})
    play.run(until=CONFIRM)
    assert finalists(play)["exp"] == "finalist"
    assert play.standings(SCREEN)["cdpo"].lower == max(row.lower or -9 for row in play.standings(SCREEN).values())


def test_more_finalists_are_told_at_a_stricter_level(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("exp",), ("cdpo",), ("lrml",)], confirmation={"finalists": 2})
    play.run()
    assert {name for name, role in finalists(play).items() if role == "finalist"} == {"cdpo", "exp"}
    assert play.standings(CONFIRM)["exp"].figures["against"]["dpo"]["level"] == pytest.approx(0.975)
    # The better one first.
    assert re.search(r" is cdpo \(symbolic\) by .*, exp \(symbolic\) by ", play.get_campaign().status_reason or "")


def test_a_held_out_arena_has_its_own_tuning_freeze_and_draws(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo", "exp")], held_out=[ELSEWHERE])
    play.run(chance=random.Random(3), lost=0.3)
    with sessions() as session:
        elsewhere = get_arena(session, ELSEWHERE).id
        freezes = {row.arena_id: row for row in session.scalars(select(Freeze))}
        frozen_in = {
            arena_id: set(session.scalars(select(Finalist.candidate_id).where(Finalist.freeze_id == each.id)))
            for arena_id, each in freezes.items()
        }
    assert set(freezes) == {play.arena_id, elsewhere}
    assert frozen_in[elsewhere] == frozen_in[play.arena_id]
    frozen = ("cdpo", "dpo", "ipo")
    assert play.counts(TUNE, arena_id=elsewhere) == dict.fromkeys(frozen, 11)
    assert play.counts(SCREEN, arena_id=elsewhere) == {}
    assert play.counts(CONFIRM, arena_id=elsewhere) == {"cdpo": 9, "dpo": 18, "ipo": 9}
    assert play.standings(CONFIRM, arena_id=elsewhere)["cdpo"].verdict == "better than"
    draws = [{row.draw for _, row in play.evaluations(purpose=CONFIRM, arena_id=each)} for each in freezes]
    assert not draws[0] & draws[1]
    assert play.get_campaign().status is CampaignStatus.COMPLETED


UNTRAINED = rf"Not confirmed in {ELSEWHERE}@\w+: no training of cdpo to tune it there has ended with a number\.$"


def test_a_held_out_arena_in_which_every_finalist_fails_holds_up_nobody(sessions: Sessions) -> None:
    failing = {"on": False}

    def value(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
        return None if failing["on"] and name == "cdpo" else PLANTED(name, setting, policy, purpose, draw)

    play = Play(sessions, value, rounds=[("cdpo",)], library=("dpo", "ipo"), held_out=[ELSEWHERE])
    play.run(until=CONFIRM)
    play.measure(*(row.id for _, row in play.evaluations(purpose=CONFIRM)))
    failing["on"] = True
    play.run()
    with sessions() as session:
        assert session.scalars(select(Freeze.arena_id)).all() == [play.arena_id]
    campaign = play.get_campaign()
    assert campaign.status is CampaignStatus.COMPLETED
    assert re.search(UNTRAINED, campaign.status_reason or "")


def test_a_finalist_that_cannot_be_tuned_in_a_held_out_arena_is_named_beside_those_that_are_confirmed_there(
    sessions: Sessions,
) -> None:
    failing = {"on": False}

    def value(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
        return None if failing["on"] and name == "cdpo" else PLANTED(name, setting, policy, purpose, draw)

    play = Play(
        sessions,
        value,
        rounds=[("cdpo",), ("exp",)],
        library=("dpo", "ipo"),
        held_out=[ELSEWHERE],
        confirmation={"finalists": 2},
    )
    play.run(until=CONFIRM)
    play.measure(*(row.id for _, row in play.evaluations(purpose=CONFIRM)))
    failing["on"] = True
    play.run()
    with sessions() as session:
        assert len(session.scalars(select(Freeze.arena_id)).all()) == 2
    assert re.search(UNTRAINED, play.get_campaign().status_reason or "")


def test_a_round_waits_for_its_last_first_draw_and_for_no_other_round(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo", "exp"), ("lrml",)])
    play.step()
    slow = {row.id for name, row in play.evaluations() if name == "exp"}
    while ready := [row_id for row_id in play.list_waiting() if row_id not in slow]:
        play.measure(*ready)
        play.step()
    assert play.stopped() == [None, None, []]
    counts = play.counts(TUNE)
    assert (counts["cdpo"], counts["lrml"], counts["dpo"]) == (7, 11, 11)
    with sessions() as session:
        campaign = get_campaign(session, play.campaign_id)
        arena = get_arena(session, ARENA)
        spec = CampaignSpec.model_validate(campaign.spec)
        with pytest.raises(Conflict, match="still tuned or screened"):
            freeze_search(session, campaign, spec, read_field(session, campaign.id, spec, arena))
    play.run()
    assert play.stopped() == [None, [1], []]
    assert play.get_campaign().status is CampaignStatus.COMPLETED


def test_rounds_that_are_still_judged_are_left_alone_and_hold_up_the_freeze(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",), ("exp",)], library=("dpo", "ipo"))
    with sessions.begin() as session:
        last = session.scalars(select(Round).where(Round.number == 2)).one()
        last.status = RoundStatus.GATING
    play.run()
    assert "exp" not in play.counts(TUNE)
    assert finalists(play) == {}
    assert play.get_campaign().status is CampaignStatus.RUNNING
    with sessions.begin() as session:
        session.get_one(Round, last.id).status = RoundStatus.EVALUATING
    play.run()
    assert play.get_campaign().status is CampaignStatus.COMPLETED


def test_whoever_we_gave_up_on_pauses_the_campaign_and_after_it_holds_up_nobody(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo", "exp")])
    play.step()
    given_up = next(row.id for name, row in play.evaluations() if name == "exp")
    play.crash(given_up)
    assert play.get_campaign().status is CampaignStatus.PAUSED
    before = play.keys()
    play.step(given_up)
    assert play.keys() == before
    with sessions.begin() as session:
        resume_campaign(session, play.campaign_id)
    play.run(until=CONFIRM)
    # Nobody was halved, for lack of a second one; and what we broke is not scored.
    assert play.stopped() == [None, []]
    assert "exp" not in play.standings(SCREEN)
    assert finalists(play) == {"cdpo": "finalist", "dpo": "reference", "ipo": "reference"}


def test_one_that_is_tried_again_after_its_rounds_halving_goes_on_and_stops_nobody(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo", "exp"), ("lrml",)])
    play.step()
    given_up, held_up = (next(row.id for name, row in play.evaluations() if name == who) for who in ("cdpo", "lrml"))
    play.crash(given_up)
    with sessions.begin() as session:
        resume_campaign(session, play.campaign_id)
    while ready := [row_id for row_id in play.list_waiting() if row_id != held_up]:
        play.measure(*ready)
        play.step()
    assert play.stopped()[1] == []
    with sessions.begin() as session:
        retry_evaluation(session, given_up)
    play.run()
    assert play.stopped()[1] == []
    assert play.counts(TUNE)["cdpo"] == play.counts(TUNE)["exp"] == 11
    assert finalists(play)["cdpo"] == "finalist"


def test_a_paused_campaign_schedules_nothing_and_goes_on_when_it_is_resumed(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.step()
    row_id = play.list_waiting()[0]
    held = play.claim(row_id)
    with sessions.begin() as session:
        pause_campaign(session, play.campaign_id)
    before = play.keys()
    play.step(row_id)
    assert play.keys() == before
    assert held is not None
    with sessions.begin() as session:
        crash(session, held, "given back", counts=False)
        resume_campaign(session, play.campaign_id)
    play.run()
    assert play.get_campaign().status is CampaignStatus.COMPLETED


def test_two_that_finish_at_once_do_not_both_miss_the_barrier(sessions: Sessions, threads: ThreadPoolExecutor) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo", "exp")], library=("dpo", "ipo"))
    play.step()

    def last_of_first_draw() -> list[Any]:
        return [row.id for name, row in play.evaluations(status=EvaluationStatus.QUEUED) if name in ("cdpo", "exp")]

    while len(last := last_of_first_draw()) > 2 or sum(play.counts(TUNE)[each] for each in ("cdpo", "exp")) < 14:
        play.measure(last[0])
        play.step(last[0])
    for row_id in last:
        play.measure(row_id)
    with sessions.begin() as session:
        session.scalars(select(Campaign).with_for_update()).one()
        steps = [threads.submit(play.step, row_id) for row_id in last]
        wait_for_blocked(sessions, 2)
    for each in steps:
        each.result()
    assert play.stopped() == [None, [1]]
    assert play.counts(TUNE)["cdpo"] == 11
    with sessions() as session:
        assert session.query(Event).filter_by(kind="round.halved").count() == 1


def test_workers_that_race_come_to_the_same_rows_as_one_alone(sessions: Sessions, threads: ThreadPoolExecutor) -> None:
    one, several = (Play(sessions, PLANTED, rounds=[("cdpo", "exp")], library=("dpo", "ipo")) for _ in range(2))
    one.run()
    several.step()
    for worker in [threads.submit(several.work) for _ in range(4)]:
        worker.result()
    assert several.keys() == one.keys()
    assert several.get_campaign().status_reason == one.get_campaign().status_reason
    with sessions() as session:
        ends = session.query(Event).filter_by(kind="campaign.completed", campaign_id=several.campaign_id)
        assert ends.count() == 1


def test_an_edited_tuning_measurement_changes_what_is_screened_next(
    sessions: Sessions, owner_sessions: Sessions
) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.step()
    while "cdpo" not in play.counts(SCREEN):
        play.measure(*play.list_waiting())
        play.step()
    before = [row.setting for name, row in play.evaluations(purpose=SCREEN) if name == "cdpo"]
    best_two = [row for name, row in play.evaluations(purpose=TUNE) if name == "cdpo" and row.draw == "1"]
    (other,) = [row for row in best_two if row.setting not in before]
    with owner_sessions.begin() as session:
        stored = session.get_one(Measurement, other.measurement_id)
        stored.metrics = stored.metrics | {"J": 99.0}
    play.run()
    assert play.standings(SCREEN)["cdpo"].setting == other.setting
    with sessions() as session:
        frozen = session.scalars(select(Finalist.setting).where(Finalist.role == "finalist")).one()
    assert frozen == other.setting


def test_an_arena_that_nobody_calibrated_takes_the_spread_of_its_own_library_and_says_so(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=(*LIBRARY, "exo"), calibration=None)
    play.run()
    with sessions() as session:
        plan = session.scalars(select(Freeze.plan)).one()
    assert plan["sd_source"] == "own screen"
    assert 0 < plan["sd"] < 0.1
    # As a calibration plans: all losses count with what they have, where a screen borrows the typical one's.
    assert play.standings(SCREEN)["cdpo"].figures["spread"]["sd"] < plan["sd"]


def test_without_any_spread_an_interval_is_by_the_losss_own_variance(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"), calibration=None)
    play.run()
    with sessions() as session:
        plan = session.scalars(select(Freeze.plan)).one()
    assert (plan["sd_source"], plan["sd"], plan["detectable"], plan["draws"]) == ("nothing", None, None, 9)
    row = play.standings(SCREEN)["cdpo"]
    assert row.lower is not None
    assert row.figures["spread"] is None


def test_a_campaign_without_rounds_is_left_alone(sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign = rows.add_campaign(session)
    with sessions.begin() as session:
        proceed(session, campaign.id)
    with sessions() as session:
        assert get_campaign(session, campaign.id).status is CampaignStatus.RUNNING


def test_a_placebo_is_tuned_and_confirmed_on_draws_of_its_own_and_may_be_a_finalist_though_a_twin(
    sessions: Sessions,
) -> None:
    play = Play(sessions, table({}), rounds=[("dpo", "dpo")], library=("dpo", "ipo"))
    with sessions.begin() as session:
        copies = session.scalars(select(Candidate).where(Candidate.author == Author.SYMBOLIC)).all()
        for number, each in enumerate(copies):
            each.name, each.twin = f"copy {number}", {"name": "dpo", "library": "dpo"}
            session.get_one(Proposal, each.proposal_id).request = {"salt": f"1.{number}"}
    play.run()
    assert play.get_campaign().status is CampaignStatus.COMPLETED
    salts = {(name, row.salt) for name, row in play.evaluations()}
    assert salts == {("dpo", ""), ("ipo", ""), ("copy 0", "1.0"), ("copy 1", "1.1")}
    frozen = finalists(play)
    [copy] = [name for name, role in frozen.items() if role == "finalist"]
    assert copy.startswith("copy")
    confirmed = {row.draw for _, row in play.evaluations(purpose=CONFIRM)}
    assert {row.draw for name, row in play.evaluations(purpose=CONFIRM) if name == copy} == confirmed

"""DPO is met at both settings between which its tuning chose, so that a wrong choice there is nobody's gain."""

from typing import Any

import pytest
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Candidate, Evaluation, Finalist
from discovery_service.domain.measuring import Setting
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, Purpose
from discovery_service.engine.campaigns import resume_campaign
from discovery_service.engine.standings import rebuild
from tests.engine.playing import ELSEWHERE, Play, table

TUNE, CONFIRM = Purpose.TUNE, Purpose.CONFIRM


def at_settings(play: Play, name: str) -> list[dict[str, Any]]:
    """As frozen, the chosen one first."""
    with play.sessions() as session:
        query = select(Finalist.setting).join(Candidate, Candidate.id == Finalist.candidate_id)
        return list(session.scalars(query.where(Candidate.name == name).order_by(Finalist.freeze_id, Finalist.rank)))


def misled(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
    """Two copies of one loss, best at beta 1; DPO's three tune draws say beta 2, and only those."""
    luck = 0.3 * (purpose is TUNE and name == "dpo" and setting == Setting(2, 1.5e-3, 120))
    return (table({})(name, setting, policy, purpose, draw) or 0.0) + luck


def test_a_copy_of_dpo_is_not_better_because_dpos_tuning_chose_the_worse_setting(sessions: Sessions) -> None:
    play = Play(sessions, misled, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    assert [each["beta"] for each in at_settings(play, "dpo")] == [2, 1]
    assert [each["beta"] for each in at_settings(play, "cdpo")] == [1]
    row = play.standings(CONFIRM)["cdpo"]
    told = row.figures["against"]["dpo"]
    (beside,) = told["others"]
    assert (beside["setting"]["beta"], beside["verdict"]) == (2, "better than")
    assert beside["difference"] == pytest.approx(0.1, abs=0.03)
    assert (told["setting"]["beta"], row.verdict) == (1, "not distinguishable from")
    assert (row.difference, row.lower, row.upper) == (told["difference"], told["lower"], told["upper"])
    assert (play.get_campaign().status_reason or "").startswith("No confirmed discovery")
    dpo = play.standings(CONFIRM)["dpo"]
    assert dpo.setting["beta"] == 2
    assert [each["setting"]["beta"] for each in dpo.figures["others"]] == [1]
    assert dpo.figures["others"][0]["means"]["J"]["mean"] > dpo.figures["means"]["J"]["mean"]
    with sessions.begin() as session:
        assert rebuild(session, play.campaign_id).differed == 0


def test_a_loss_is_not_better_because_only_it_may_train_longer(sessions: Sessions) -> None:
    def value(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
        return (table({})(name, setting, policy, purpose, draw) or 0.0) + 0.5 * (setting.steps - 120) / 120

    play = Play(sessions, value, rounds=[("sign", "cdpo")], library=("dpo", "ipo"), held_out=[ELSEWHERE])
    play.run()
    assert {each["steps"] for each in at_settings(play, "sign")} == {240}
    for reference, tuned in (("dpo", 2), ("ipo", 1)):
        for frozen in (at_settings(play, reference)[: tuned + 1], at_settings(play, reference)[tuned + 1 :]):
            assert [each["steps"] for each in frozen] == [*[120] * tuned, 240]
            assert frozen[-1] == {**frozen[0], "steps": 240}
    rows = play.standings(CONFIRM)
    told = rows["sign"].figures["against"]
    assert (told["dpo"]["setting"]["steps"], rows["sign"].verdict) == (240, "not distinguishable from")
    assert "better than" in {each["verdict"] for each in told["dpo"]["others"]}
    assert told["ipo"]["verdict"] == "not distinguishable from"
    with sessions.begin() as session:
        assert rebuild(session, play.campaign_id).differed == 0


def test_in_a_held_out_arena_dpo_is_frozen_at_both_settings_that_were_found_there(sessions: Sessions) -> None:
    def value(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
        found = table({"cdpo": 0.5})(name, setting, policy, purpose, draw)
        return found if found is None or not elsewhere["on"] else found - abs(setting.beta - 4)

    elsewhere = {"on": False}
    play = Play(sessions, value, rounds=[("cdpo",)], library=("dpo", "ipo"), held_out=[ELSEWHERE])
    play.run(until=CONFIRM)
    play.measure(*(row.id for _, row in play.evaluations(purpose=CONFIRM)))
    elsewhere["on"] = True
    play.run()
    here, there = at_settings(play, "dpo")[:2], at_settings(play, "dpo")[2:]
    assert here[0]["beta"] == 1
    assert there[0]["beta"] == 4
    assert len(there) == 2
    assert there[1] not in here
    assert play.get_campaign().status is CampaignStatus.COMPLETED


def test_without_one_of_dpos_settings_there_is_no_verdict_whoever_it_was_that_failed(sessions: Sessions) -> None:
    def value(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
        fails = name == "dpo" and purpose is CONFIRM and policy == 2 and setting.beta == 1
        return None if fails else misled(name, setting, policy, purpose, draw)

    play = Play(sessions, value, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    assert "dpo" not in play.standings(CONFIRM)["cdpo"].figures["against"]
    assert play.standings(CONFIRM)["cdpo"].verdict is None
    assert (play.get_campaign().status_reason or "").endswith(
        "Without a verdict, as a training of theirs or of dpo's ended without a number: cdpo (symbolic)."
    )
    (beside,) = play.standings(CONFIRM)["dpo"].figures["others"]
    assert len(beside["failed"]) == 3
    assert "means" not in beside

    crashing = Play(sessions, misled, rounds=[("cdpo",)], library=("dpo", "ipo"), seed=2)
    crashing.run(until=CONFIRM)
    given_up = next(
        row.id for name, row in crashing.evaluations(purpose=CONFIRM) if name == "dpo" and row.setting["beta"] == 1
    )
    crashing.crash(given_up)
    with sessions.begin() as session:
        resume_campaign(session, crashing.campaign_id)
    crashing.run()
    assert crashing.standings(CONFIRM)["cdpo"].verdict is None
    assert str(given_up) in (crashing.get_campaign().status_reason or "")


@pytest.mark.parametrize("name", ["dpo", "cdpo"])
def test_a_failure_that_was_invented_makes_no_discovery(sessions: Sessions, name: str) -> None:
    play = Play(sessions, misled, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run(until=CONFIRM)
    with sessions.begin() as session:
        for invented in (row for found, row in play.evaluations(purpose=CONFIRM) if found == name):
            if name == "cdpo" or invented.setting["beta"] == 1:
                row = session.get_one(Evaluation, invented.id)
                row.status, row.failure = EvaluationStatus.FAILED, {"code": "non_finite"}
                break
    play.run()
    assert play.get_campaign().status is CampaignStatus.COMPLETED
    assert (play.get_campaign().status_reason or "").startswith("No confirmed discovery")

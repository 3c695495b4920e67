"""From losses to verdicts: the same effort for all, nothing confirmed before the freeze, failures told."""

import json
from collections import Counter, defaultdict
from threading import Event
from typing import Any
from zlib import crc32

import pytest

from discovery_service.domain.measuring import Setting
from discovery_service.domain.power import find_detectable
from discovery_service.domain.states import Purpose
from tests.compare.slots import SETTING, Recording, contender, contest, measured, place, scripted
from workers.compare.command import hold
from workers.compare.contest import Contest
from workers.runtime.protocol import Evaluate
from workers.slots import Slots
from workers.supervisor.outcome import Crashed, Failed, Measured, Outcome
from workers.trainings import Loss, Trainings, TrainingsBroke

DIVERGED = Failed("diverged", "The loss grew beyond all bounds.", 7)


def noise(of: str) -> float:
    return crc32(of.encode()) % 13 / 1000


def merit(order: Evaluate) -> Outcome:
    """Best at beta 2, with noise of the draw that is common to all losses and some that is not."""
    common, own = noise(order.draw.key), noise(f"{order.graph} {order.draw.key}")
    far = abs(order.setting.beta - 2) / 2 + order.setting.learning_rate
    return measured(len(order.graph["nodes"]) / 100 + 10 * common + own - far)


def run(held: Contest, answer: Any = merit, slots: int = 2) -> tuple[dict[str, Any], list[Evaluate]]:
    made, orders = scripted(answer, slots)
    return hold(held, Trainings(held.place.arena, made, lambda _doing, _done: None)), orders


def key_of(loss: Loss) -> str:
    return json.dumps(loss.graph.document())


def by_loss(orders: list[Evaluate], purpose: Purpose) -> dict[str, list[Evaluate]]:
    found: dict[str, list[Evaluate]] = defaultdict(list)
    for order in orders:
        if order.draw.purpose is purpose:
            found[json.dumps(order.graph)].append(order)
    return found


def figures(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what no run repeats: how long a training took, and the number of a process."""
    told: dict[str, Any] = json.loads(json.dumps(answer))
    for loss in told["losses"]:
        loss["metrics"].pop("pid", None)
        for training in loss["trainings"]:
            training.pop("device_s")
            if training["metrics"]:
                training["metrics"].pop("pid", None)
    return told


def test_every_loss_is_tuned_by_as_many_trainings_on_the_first_base_policy() -> None:
    _, orders = run(contest("ipo", "sign", "slic"))
    tuning = by_loss(orders, Purpose.TUNE)
    assert len(tuning) == 4
    assert {len(each) for each in tuning.values()} == {11}
    assert {(order.base_policy, order.draw.key) for each in tuning.values() for order in each} == {
        (0, "0"),
        (0, "1"),
        (0, "2"),
    }


def test_nothing_is_confirmed_before_all_are_tuned_and_then_each_at_its_own_best() -> None:
    held = contest("ipo", "slic", where=place(draws=9))
    answer, orders = run(held)
    purposes = [order.draw.purpose for order in orders]
    assert purposes == [Purpose.TUNE] * 33 + [Purpose.CONFIRM] * (27 + 9)
    for loss, each in zip(answer["losses"], held.contenders, strict=True):
        confirming = by_loss(orders, Purpose.CONFIRM)[key_of(each.loss)]
        others = [each["setting"] for each in loss["other_settings"]]
        assert {order.setting.setting() for order in confirming} == {Setting(**at) for at in (loss["setting"], *others)}
        assert loss["setting"]["beta"] == 2
        assert len(others) == (loss["role"] == "reference")


def test_all_losses_are_confirmed_on_the_same_fresh_draws_spread_over_the_base_policies() -> None:
    _, orders = run(contest("ipo", "slic", where=place(draws=9)))
    occasions = {
        frozenset((each.base_policy, each.draw.key) for each in confirming)
        for confirming in by_loss(orders, Purpose.CONFIRM).values()
    }
    (common,) = occasions
    assert Counter(policy for policy, _ in common) == {0: 3, 1: 3, 2: 3}
    assert not {key for _, key in common} & {"0", "1", "2"}


def test_a_loss_is_tuned_to_its_end_while_another_hangs_in_its_first_stage() -> None:
    held = contest("ipo", "slic")
    others_tuned, slow, seen = Event(), key_of(held.reference.loss), Counter[str]()

    def answer(order: Evaluate) -> Outcome:
        seen[json.dumps(order.graph)] += 1
        if json.dumps(order.graph) == slow and seen[slow] == 1:
            assert others_tuned.wait(60)
        if sum(seen.values()) - seen[slow] == 22:
            others_tuned.set()
        return merit(order)

    assert run(held, answer)[0]["status"] == "compared"


def test_the_same_command_gives_the_same_and_another_seed_or_loss_other_draws() -> None:
    def draws(answer: dict[str, Any]) -> set[str]:
        return {each["draw"] for each in answer["losses"][0]["trainings"] if each["purpose"] == "confirm"}

    first, again = run(contest("ipo"))[0], run(contest("ipo"), slots=1)[0]
    assert figures(first) == figures(again)
    other_seed = run(contest("ipo", where=place(seed=1)))[0]
    other_loss = run(contest("slic"))[0]
    assert not draws(first) & draws(other_seed)
    assert not draws(first) & draws(other_loss)
    assert first["losses"][0]["setting"] == other_seed["losses"][0]["setting"]


def test_verdicts_are_those_of_the_measured_differences() -> None:
    """A loss that is .5 above DPO on every draw but for noise, and one that is .5 below."""
    gains = {key_of(contender("ipo").loss): 0.5, key_of(contender("slic").loss): -0.5}

    def answer(order: Evaluate) -> Outcome:
        told = json.dumps(order.graph)
        return measured(gains.get(told, 0.0) + noise(f"{told} {order.draw.key}"))

    told = run(contest("ipo", "slic", "exp", where=place(draws=12)), answer)[0]
    verdicts = {each["name"]: each["verdict"] for each in told["losses"]}
    assert (verdicts["dpo"], verdicts["ipo"], verdicts["slic"]) == (None, "better than", "worse than")
    ipo = told["losses"][1]
    assert ipo["difference"]["mean"] == pytest.approx(0.5, abs=0.02)
    assert ipo["difference"]["low"] < ipo["difference"]["mean"] < ipo["difference"]["high"]
    assert ipo["difference"]["level"] == pytest.approx(1 - 0.05 / 3)
    assert set(ipo["effects"]) == {"0", "1", "2"}
    assert ipo["metrics"]["J"]["low"] < ipo["metrics"]["J"]["mean"] < ipo["metrics"]["J"]["high"]
    assert ipo["sentence"].startswith("better than dpo: +0.5")
    assert told["status"] == "compared"


def test_what_is_reported_is_of_the_fresh_draws_alone_and_within_base_policies() -> None:
    """Tune draws that were lucky for a setting are those by which it was chosen; policies are no noise."""

    def answer(order: Evaluate) -> Outcome:
        luck = 5.0 * (order.draw.purpose is Purpose.TUNE)
        return measured(luck + order.base_policy + noise(f"{order.graph} {order.draw.key}"))

    for loss in run(contest("ipo", where=place(draws=12)), answer)[0]["losses"]:
        told = loss["metrics"]["J"]
        confirming = [each for each in loss["trainings"] if each["purpose"] == "confirm"]
        own = [each["metrics"]["J"] for each in confirming if each["setting"] == loss["setting"]]
        assert (told["draws"], len(own)) == (12, 12)
        assert told["mean"] == pytest.approx(sum(own) / 12)
        assert told["high"] - told["low"] < 0.02


def test_settings_are_chosen_and_losses_compared_by_the_metric_that_counts() -> None:
    def answer(order: Evaluate) -> Outcome:
        told = json.dumps(order.graph)
        small = noise(f"{told} {order.draw.key}")
        gain = (told == key_of(contender("ipo").loss)) - abs(order.setting.beta - 2)
        return Measured({"J": small - gain, "accuracy": small + gain}, {}, 1.0)

    told = run(contest("ipo", where=place(draws=12, kind="hf", counts="accuracy")), answer)[0]
    assert told["counts"] == "accuracy"
    assert [each["setting"]["beta"] for each in told["losses"]] == [2, 2]
    assert told["losses"][1]["verdict"] == "better than"


def test_a_loss_without_beta_is_tuned_in_what_it_has() -> None:
    _, orders = run(contest("sign"))
    sign = by_loss(orders, Purpose.TUNE)[key_of(contender("sign").loss)]
    assert {order.setting.beta for order in sign} == {SETTING["beta"]}
    assert len({order.setting.setting() for order in sign}) == 7


def test_what_could_have_been_found_is_of_all_finalists_and_base_policies() -> None:
    told = run(contest("ipo", "slic", "exp", where=place(draws=12)))[0]
    for loss in told["losses"][1:]:
        assert loss["detectable"] == pytest.approx(find_detectable(sd=loss["sd"], draws=12, finalists=3, met=2))


def misled(order: Evaluate) -> Outcome:
    """All losses are best at beta 1, and DPO's tune draws say beta 2."""
    told, setting = json.dumps(order.graph), order.setting.setting()
    is_lucky = told == key_of(contender("dpo").loss) and order.draw.purpose is Purpose.TUNE
    luck = 0.6 * (is_lucky and setting == Setting(2, SETTING["learning_rate"], 8))
    far = 0.2 * abs(setting.beta - 1) + abs(setting.learning_rate - SETTING["learning_rate"]) * 10
    return measured(noise(order.draw.key) + noise(f"{told} {order.setting} {order.draw.key}") / 2 + luck - far)


def test_nothing_is_better_than_a_reference_whose_tuning_chose_the_worse_setting_by_that_alone() -> None:
    told, orders = run(contest("ipo", where=place(draws=12)), misled)
    dpo, ipo = told["losses"]
    (other,) = dpo["other_settings"]
    assert (dpo["setting"]["beta"], other["setting"]["beta"], ipo["setting"]["beta"]) == (2, 1, 1)
    assert other["metrics"]["J"]["low"] > dpo["metrics"]["J"]["high"]
    assert (ipo["against_setting"], ipo["verdict"]) == (other["setting"], "not distinguishable from")
    (beside,) = ipo["against_others"]
    assert (beside["setting"], beside["verdict"]) == (dpo["setting"], "better than")
    assert beside["difference"]["low"] > 0.1
    assert abs(ipo["difference"]["mean"]) < 0.02
    assert " (at β 1, the harder of its two settings)" in ipo["sentence"]
    assert told["trainings"] == len(orders) == 2 * (11 + 12) + 12
    assert len(dpo["trainings"]) == 11 + 24


def test_a_copy_of_the_reference_is_confirmed_at_its_own_setting_alone() -> None:
    twins = Contest(place(), contender("dpo"), (contender("mine.py", of="dpo"), contender("ipo")))
    told = run(twins, misled)[0]
    copy = told["losses"][1]
    assert (copy["verdict"], copy["against_setting"], copy["difference"]["mean"]) == (
        "not distinguishable from",
        told["losses"][0]["setting"],
        0,
    )
    assert (copy["other_settings"], len(copy["trainings"])) == ([], 11 + 6)
    assert "harder" not in copy["sentence"]


def test_where_the_reference_fails_at_its_other_setting_alone_nothing_is_concluded() -> None:
    bad = key_of(contender("dpo").loss)

    def answer(order: Evaluate) -> Outcome:
        is_hard = order.draw.purpose is Purpose.CONFIRM and order.setting.beta == 1 and order.base_policy == 0
        return DIVERGED if is_hard and json.dumps(order.graph) == bad else misled(order)

    told, _ = run(contest("ipo"), answer)
    dpo, ipo = told["losses"]
    assert (told["status"], dpo["status"], dpo["failed"]) == ("failed", "failed", 0)
    (other,) = dpo["other_settings"]
    assert (other["failed"], other["metrics"]) == (2, {})
    assert dpo["metrics"]["J"]["draws"] == 6
    assert (ipo["status"], ipo["verdict"], ipo["difference"], ipo["against_others"]) == ("confirmed", None, None, [])
    assert dpo["sentence"].startswith("failed on 2 of 6 draws at β 1, the first time diverged at step 7")
    assert ipo["sentence"] == "confirmed, and compared with nothing: dpo failed"
    assert told["claim"].startswith("Nothing is concluded: dpo failed on 2 of 6 draws at β 1.")


def test_a_loss_that_fails_on_some_draws_has_no_interval_and_the_others_are_compared() -> None:
    bad = key_of(contender("ipo").loss)

    def answer(order: Evaluate) -> Outcome:
        is_hard = order.draw.purpose is Purpose.CONFIRM and order.base_policy == 2
        return DIVERGED if is_hard and json.dumps(order.graph) == bad else merit(order)

    told = run(contest("ipo", "slic"), answer)[0]
    _, ipo, slic = told["losses"]
    assert told["status"] == "compared"
    assert (ipo["status"], ipo["failed"], ipo["verdict"], ipo["difference"], ipo["metrics"]) == (
        "failed",
        2,
        None,
        None,
        {},
    )
    assert ipo["sentence"] == (
        "failed on 2 of 6 draws, the first time diverged at step 7: The loss grew beyond all bounds"
    )
    assert slic["difference"] is not None
    # It was looked at all the same, so the others answer for as many.
    assert told["level"] == 0.975


def test_a_loss_that_cannot_be_tuned_costs_as_much_and_is_not_confirmed() -> None:
    bad = key_of(contender("ipo").loss)
    told, orders = run(
        contest("ipo", "slic"), lambda order: DIVERGED if json.dumps(order.graph) == bad else merit(order)
    )
    assert [each["status"] for each in told["losses"]] == ["confirmed", "untuned", "confirmed"]
    assert told["losses"][1]["sentence"].startswith(
        "could not be tuned: each of its trainings failed, the first one diverged"
    )
    assert (told["losses"][1]["setting"], told["losses"][1]["verdict"]) == (None, None)
    assert len(by_loss(orders, Purpose.TUNE)[bad]) == 11
    assert bad not in by_loss(orders, Purpose.CONFIRM)


@pytest.mark.parametrize(("purpose", "status"), [(Purpose.TUNE, "tuned"), (Purpose.CONFIRM, "confirmed")])
def test_where_the_reference_fails_nothing_is_said_of_the_others(purpose: Purpose, status: str) -> None:
    bad = key_of(contender("dpo").loss)

    def answer(order: Evaluate) -> Outcome:
        return DIVERGED if order.draw.purpose is purpose and json.dumps(order.graph) == bad else merit(order)

    told, orders = run(contest("ipo"), answer)
    assert told["status"] == "failed"
    assert (told["losses"][1]["status"], told["losses"][1]["verdict"]) == (status, None)
    assert told["losses"][1]["sentence"] == f"{status}, and compared with nothing: dpo failed"
    assert bool(by_loss(orders, Purpose.CONFIRM)) == (purpose is Purpose.CONFIRM)


def test_a_crash_is_ours_and_concludes_nothing() -> None:
    def answer(order: Evaluate) -> Outcome:
        return Crashed("somebody has stopped the runtime's process") if order.draw.key == "1" else merit(order)

    with pytest.raises(TrainingsBroke, match=r"no fault of the loss: somebody has stopped .* `discovery doctor`"):
        run(contest("ipo"), answer)


def test_one_loss_under_several_names_is_trained_once_and_said_to_be_one() -> None:
    twins = Contest(
        place(), contender("dpo"), (contender("mine.py", of="dpo"), contender("ipo"), contender("copy.py", of="ipo"))
    )
    told, orders = run(twins)
    assert len(orders) == 2 * (11 + 6) + 6
    assert set(twins.names.values()) == {"dpo", "ipo"}
    assert [each["same_as"] for each in told["losses"]] == [None, "dpo", None, "ipo"]
    assert told["losses"][1]["verdict"] == "not distinguishable from"
    assert told["losses"][1]["sentence"] == "not distinguishable from dpo: they are one loss, their graphs are equal"
    assert told["losses"][2]["difference"] == told["losses"][3]["difference"]
    assert told["trainings"] == len(orders)


def test_real_trainings_repeat_bit_for_bit(toy_slots: tuple[Slots, Recording]) -> None:
    slots, runtime = toy_slots

    def compare() -> dict[str, Any]:
        held = contest("ipo", "slic")
        return hold(held, Trainings(held.place.arena, slots, lambda _doing, _done: None))

    first = compare()
    count = len(runtime.orders)
    assert figures(compare()) == figures(first)
    assert count == 3 * (11 + 6) + 6 == len(runtime.orders) / 2
    assert first["status"] == "compared"
    assert all(each["verdict"] for each in first["losses"][1:])

"""The library in an arena: all tuned alike, measured on the same fresh draws, and told."""

import json
import random
from collections import defaultdict
from typing import Any

import pytest

from discovery_service.domain.measuring import Setting, Stream
from discovery_service.domain.published import Figures
from discovery_service.domain.states import Purpose
from discovery_service.errors import UsageError
from tests.compare.slots import SETTING, graph, measured, scripted
from tests.runtime import toy
from workers.calibrate.command import USUAL, choose_losses
from workers.calibrate.library import count_trainings, list_draws, measure_library
from workers.runtime.protocol import Evaluate
from workers.supervisor.outcome import Crashed, Failed, Outcome
from workers.trainings import Loss, Trainings, TrainingsBroke

ARENA = toy.document(setting=SETTING)
NAMES = ["dpo", "ipo", "slic"]
IPO = Loss.of(graph("ipo")).graph.document()


def merit(order: Evaluate) -> Outcome:
    own = random.Random(f"{order.draw.key} {json.dumps(order.graph)}").gauss(0, 0.03)
    steps = 0.5 if order.setting.steps == 2 * SETTING["steps"] else 0.0
    return measured((1.0 if order.graph == IPO else 0.0) + own + steps - abs(order.setting.beta - 2) / 10)


def run(answer: Any = merit, names: list[str] = NAMES) -> tuple[dict[str, Any], list[Evaluate]]:
    slots, orders = scripted(answer)
    trainings = Trainings(ARENA, slots, lambda _doing, _done: None)
    return measure_library(ARENA, names, (0, 1, 2), trainings), orders


def test_all_are_measured_at_their_best_on_the_same_draws_that_no_campaign_has() -> None:
    told, orders = run()
    fresh = [each for each in orders if each.draw.purpose is Purpose.CALIBRATE]
    tuning = [each for each in orders if each.draw.purpose is Purpose.TUNE]
    assert len(fresh) + len(tuning) == len(orders) == count_trainings(ARENA, NAMES, (0, 1, 2))
    at_plan = [each for each in fresh if each.setting.steps == SETTING["steps"]]
    drawn: dict[tuple[str, Setting], list[tuple[int, str]]] = defaultdict(list)
    for each in at_plan:
        drawn[json.dumps(each.graph), each.setting.setting()].append((each.base_policy, each.draw.key))
    assert len({tuple(sorted(each)) for each in drawn.values()}) == 1
    # DPO at both settings between which its tuning chose, as a campaign meets it.
    dpo = json.dumps(Loss.of(graph("dpo")).graph.document())
    settings = [setting.document() for loss, setting in drawn if loss == dpo]
    assert told["losses"]["dpo"]["settings"] == settings
    assert len(settings) == 2
    assert len(drawn) == len(NAMES) + 1
    assert all(setting.beta == 2 for loss, setting in drawn if loss != dpo)


def test_what_is_told_is_of_the_arena() -> None:
    told, _ = run()
    assert (told["better"], told["worse"]) == (["ipo"], [])
    assert [(each["steps"], each["difference"]["mean"]) for each in told["steps"]] == [(4, 0), (16, 0.5)]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_the_noise_beside_which_steps_are_told_is_of_all_pairs_together(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [None, (2, 0.9), (6, 0.1)]

    def find(_sha256: str, base_policy: int) -> Figures | None:
        known = found[base_policy]
        return known and Figures("0", 0.0, 0.02, 1.6, 0.02, repeat_pairs=known[0], repeat_sd=known[1])

    monkeypatch.setattr("workers.calibrate.library.find_figures", find)
    # Pooled .458: below the gain of .5, with which the greatest of them would have swallowed it.
    assert [each["gains_less_than_noise"] for each in run()[0]["steps"]] == [True, False]


def test_a_loss_that_cannot_be_tuned_costs_no_further_training_and_is_told() -> None:
    def answer(order: Evaluate) -> Outcome:
        return Failed("diverged", "The loss grew beyond all bounds.", 7) if order.graph == IPO else merit(order)

    told, orders = run(answer, ["dpo", "ipo", "slic", "cdpo"])
    assert (told["losses"]["ipo"]["settings"], told["losses"]["ipo"]["value"]) == ([], None)
    assert not any(each.graph == IPO and each.draw.purpose is Purpose.CALIBRATE for each in orders)


def test_a_crash_of_ours_calibrates_nothing() -> None:
    with pytest.raises(TrainingsBroke, match="no fault of the loss"):
        run(lambda _: Crashed("the card is hot", ""))


@pytest.mark.parametrize(("policies", "count"), [(1, 12), (2, 12), (3, 12), (5, 15), (7, 14), (8, 16), (9, 18)])
def test_draws_are_fresh_and_spread_evenly_over_however_many_models(policies: int, count: int) -> None:
    draws = list_draws(range(policies))
    assert len({draw.seed(Stream.LABELS) for _, draw in draws}) == len(draws) == count
    assert {sum(policy == each for policy, _ in draws) for each in range(policies)} == {count // policies}


def test_an_arena_whose_trainings_are_one_step_is_measured_with_two_as_well() -> None:
    one_step = toy.document(setting=SETTING | {"steps": 1})
    slots, orders = scripted(merit)
    told = measure_library(one_step, NAMES, (0,), Trainings(one_step, slots, lambda _doing, _done: None))
    assert [each["steps"] for each in told["steps"]] == [2]
    assert len(orders) == count_trainings(one_step, NAMES, (0,))


def test_where_trainings_take_a_second_it_is_the_whole_library() -> None:
    mini, base = ({"kind": "synthetic", "family": "pairwise", "name": f"plain:{size}"} for size in ("mini", "base"))
    assert len(choose_losses(mini, ())) > len(choose_losses(base, ())) == 1 + len(USUAL)
    assert choose_losses(mini, ["slic", "ipo"]) == ["dpo", "ipo", "slic"]
    with pytest.raises(UsageError, match="moon is no known loss"):
        choose_losses(mini, ["moon"])
    with pytest.raises(UsageError, match="name another one"):
        choose_losses(mini, ["ipo"])

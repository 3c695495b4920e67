"""Whatever comes out of a loss's trainings, it costs what the plan says and ends at the best that was found."""

import math
import random
from fractions import Fraction
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.measuring import Setting
from discovery_service.domain.tuning import Training, follow_plan
from discovery_service.domain.tuning_plans import Point, TuningPlan
from tests.domain.tuned import MINI, PLANS, tune

FIRST = 1.5e-3
LOWER = 5e-4

VALUES = st.none() | st.sampled_from([0.0, 1.0]) | st.floats(allow_nan=False, allow_infinity=False)
ANY_PLAN = st.sampled_from(list(PLANS.values()))


class Drawn:
    """A loss of any values at all; the same one for the same training."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.values: dict[Training, float | None] = {}

    def __call__(self, setting: Setting, draw: int) -> float | None:
        training = Training(setting, draw)
        if training not in self.values:
            self.values[training] = self.data.draw(VALUES)
        return self.values[training]


def octave(setting: Setting) -> float:
    return math.log2(setting.beta)


def points(batch: list[Training]) -> list[tuple[float, float]]:
    return [(training.setting.beta, training.setting.learning_rate) for training in batch]


def by_beta(values: dict[float, float], at_lower: float = -1.0) -> Any:
    """Of a loss in which the lower rate adds so much."""
    return lambda setting, _: values[setting.beta] + (at_lower if setting.learning_rate == LOWER else 0)


def test_best_in_the_middle() -> None:
    values = {0.25: 1.0, 1: 3.0, 4: 2.0, 0.5: 2.5, 2: 2.9}
    progress, batches = tune(MINI, by_beta(values))
    assert [points(batch) for batch in batches[:4]] == [
        [(1, FIRST), (0.25, FIRST), (4, FIRST)],
        [(4, LOWER)],
        [(0.5, FIRST), (2, FIRST)],
        [(1, LOWER)],
    ]
    assert {tuple(training) for training in batches[4]} == {
        (Setting(beta, FIRST, 120), draw) for beta in (1, 2) for draw in (1, 2)
    }
    assert len(batches) == 5
    assert progress.chosen == Setting(1, FIRST, 120)


def test_best_at_the_upper_edge_goes_further_and_at_once_back_by_an_octave() -> None:
    values = {0.25: 1.0, 1: 2.0, 4: 3.0, 16: 2.5, 2: 2.9, 8: 3.5}
    progress, batches = tune(MINI, by_beta(values))
    assert [points(batch) for batch in batches[1:4]] == [
        [(16, FIRST), (8, FIRST)],
        [(2, FIRST)],
        [(8, LOWER)],
    ]
    assert progress.chosen == Setting(8, FIRST, 120)


def test_best_at_the_lower_edge_goes_further() -> None:
    values = {0.25: 3.0, 1: 2.0, 4: 1.0, 0.0625: 4.0, 0.125: 3.8, 0.03125: 3.9}
    progress, batches = tune(MINI, by_beta(values))
    assert [points(batch) for batch in batches[1:4]] == [
        [(0.0625, FIRST), (0.125, FIRST)],
        [(0.03125, FIRST)],
        [(0.0625, LOWER)],
    ]
    assert progress.chosen == Setting(0.0625, FIRST, 120)


def test_what_was_tried_has_the_next_best_untried_neighbour_for_a_substitute() -> None:
    values = {0.25: 1.0, 1: 3.0, 4: 2.0, 8: 2.2, 2: 2.1, 16: 2.4}
    # The second-best beta is the best of all at the lower rate, so that the last training would repeat it.
    progress, batches = tune(MINI, by_beta(values, at_lower=5))
    assert [points(batch) for batch in batches[1:4]] == [[(4, LOWER)], [(2, LOWER), (8, LOWER)], [(16, LOWER)]]
    assert progress.chosen == Setting(16, LOWER, 120)


def test_a_substitute_is_sought_up_before_down_and_beside_the_best_first() -> None:
    values = {0.25: 1.0, 1: 3.0, 4: 2.0, 8: 1.5, 2: 2.1}
    progress, batches = tune(MINI, by_beta(values, at_lower=5))
    assert [points(batch) for batch in batches[1:4]] == [[(4, LOWER)], [(2, LOWER), (8, LOWER)], [(1, LOWER)]]
    assert progress.chosen == MINI.setting_at(Point(rungs=1))


def test_a_flat_loss_stays_at_the_start() -> None:
    progress, _ = tune(MINI, lambda *_: 1.0)
    assert progress.chosen == MINI.start
    assert progress.first_best == 1


@given(st.floats(-6, 6), st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0, 5))
def test_of_one_hump_it_finds_the_top_within_an_octave(top: float, left: float, right: float, loss: float) -> None:
    def value_of(setting: Setting, _: int) -> float:
        above = octave(setting) - top
        return -(above * right if above > 0 else -above * left) - (loss if setting.learning_rate < FIRST else 0)

    progress, _ = tune(MINI, value_of)
    assert progress.chosen is not None
    assert abs(octave(progress.chosen) - top) <= 1


@given(st.floats(-6, 6), st.floats(0.01, 5), st.sampled_from([-1, 1]))
def test_it_finds_the_better_rate_too(top: float, gain: float, sign: int) -> None:
    def value_of(setting: Setting, _: int) -> float:
        return -abs(octave(setting) - top) + (sign * gain if setting.learning_rate == LOWER else 0)

    progress, _ = tune(MINI, value_of)
    assert progress.chosen is not None
    assert progress.chosen.learning_rate == (LOWER if sign > 0 else FIRST)


@given(st.floats(-6, 6))
def test_a_loss_that_diverges_above_a_rate_is_tuned_below_it(top: float) -> None:
    def value_of(setting: Setting, _: int) -> float | None:
        return None if setting.learning_rate > LOWER else -abs(octave(setting) - top)

    progress, batches = tune(MINI, value_of)
    assert sum(map(len, batches)) == 11
    assert progress.chosen is not None
    assert progress.chosen.learning_rate == LOWER


def test_a_loss_that_always_fails_costs_as_much_and_has_no_setting() -> None:
    for uses_beta in (True, False):
        progress, batches = tune(MINI, lambda *_: None, uses_beta=uses_beta)
        assert sum(map(len, batches)) == 11
        assert progress.is_complete
        assert (progress.chosen, progress.first_best) == (None, None)


def test_noise_costs_less_on_three_draws_than_on_one() -> None:
    regrets_of_first, regrets = [], []
    for seed in range(300):
        noise = random.Random(seed)
        top = noise.uniform(-4, 4)

        def value_of(setting: Setting, draw: int, top: float = top, noise: random.Random = noise) -> float:
            return -0.1 * abs(octave(setting) - top) + noise.gauss(0, 0.2)

        progress, _ = tune(MINI, value_of)
        assert progress.chosen is not None
        at_first = max(progress.curve, key=lambda tried: tried.values[0] or 0).setting
        regrets_of_first.append(abs(octave(at_first) - top))
        regrets.append(abs(octave(progress.chosen) - top))
    assert fmean(regrets) < 0.95 * fmean(regrets_of_first)


@given(st.floats(0, 3), st.floats(-2, 2))
def test_without_beta_rates_and_steps_are_tried(rungs: float, doublings: float) -> None:
    def value_of(setting: Setting, _: int) -> float:
        rate = math.log(FIRST / setting.learning_rate, 3)
        return -abs(rate - rungs) - abs(math.log2(setting.steps / 120) - doublings)

    progress, batches = tune(MINI, value_of, uses_beta=False)
    assert sum(map(len, batches)) == 11
    settings = {training.setting for batch in batches for training in batch}
    assert {setting.beta for setting in settings} == {1}
    assert {setting.steps for setting in settings} >= {120, 240}
    assert max(setting.learning_rate for setting in settings) == FIRST
    assert progress.chosen is not None
    assert abs(math.log(FIRST / progress.chosen.learning_rate, 3) - rungs) <= 1
    assert abs(math.log2(progress.chosen.steps / 120) - min(max(doublings, -1), 1)) <= 0.5 + 1e-9


@given(ANY_PLAN, st.booleans(), st.booleans(), st.data())
def test_every_loss_costs_exactly_the_plan(plan: TuningPlan, uses_beta: bool, goes_on: bool, data: Any) -> None:
    progress, batches = tune(plan, Drawn(data), uses_beta=uses_beta, goes_on=goes_on)
    trainings = [training for batch in batches for training in batch]
    assert len(set(trainings)) == len(trainings) == (plan.trainings if goes_on else plan.first_trainings)
    assert sum(training.draw == 0 for training in trainings) == plan.first_trainings
    assert progress.is_first_draw_done
    assert progress.is_complete == goes_on


@given(ANY_PLAN, st.booleans(), st.data())
def test_the_chosen_setting_has_the_best_mean_of_the_finalists(plan: TuningPlan, uses_beta: bool, data: Any) -> None:
    loss = Drawn(data)
    progress, _ = tune(plan, loss, uses_beta=uses_beta)
    for tried in progress.curve:
        assert tried.values == tuple(loss.values[Training(tried.setting, draw)] for draw in range(len(tried.values)))
    finalists = {tried.setting: tried.values for tried in progress.curve if len(tried.values) > 1}
    assert len(finalists) == plan.finalists
    assert all(len(values) == plan.draws for values in finalists.values())
    firsts = [-math.inf if tried.values[0] is None else tried.values[0] for tried in progress.curve]
    firsts.sort(reverse=True)
    of_finalists = sorted(
        (-math.inf if values[0] is None else values[0] for values in finalists.values()), reverse=True
    )
    assert of_finalists == firsts[: plan.finalists]
    whole = {setting: sum(map(Fraction, values)) for setting, values in finalists.items() if None not in values}
    if whole:
        assert progress.chosen in whole
        assert whole[progress.chosen] == max(whole.values())


@given(ANY_PLAN, st.booleans(), st.data())
def test_the_order_of_arrival_makes_no_difference(plan: TuningPlan, uses_beta: bool, data: Any) -> None:
    loss = Drawn(data)
    expected, _ = tune(plan, loss, uses_beta=uses_beta)
    measured: dict[Training, float | None] = {}
    while missing := follow_plan(plan, measured, uses_beta=uses_beta, goes_on=True).missing:
        # Nothing is asked here that was not asked there, and what is under way is never taken back.
        assert set(missing) <= loss.values.keys()
        arriving = data.draw(st.sampled_from(missing))
        measured[arriving] = loss.values[arriving]
        after = follow_plan(plan, measured, uses_beta=uses_beta, goes_on=True)
        assert set(missing) - {arriving} <= set(after.missing)
    assert measured == loss.values
    shuffled = dict(data.draw(st.permutations(list(measured.items()))))
    assert follow_plan(plan, shuffled, uses_beta=uses_beta, goes_on=True) == expected


@given(st.booleans(), st.data())
def test_what_else_was_measured_makes_no_difference(uses_beta: bool, data: Any) -> None:
    loss = Drawn(data)
    expected, batches = tune(MINI, loss, uses_beta=uses_beta)
    steps = st.sampled_from([60, 120, 240])
    settings = st.builds(Setting, st.sampled_from([0.5, 1, 2, 3]), st.sampled_from([LOWER, FIRST, 0.1]), steps)
    others = data.draw(st.dictionaries(st.builds(Training, settings, st.integers(0, 3)), VALUES))
    assert follow_plan(MINI, others | loss.values, uses_beta=uses_beta, goes_on=True) == expected
    beside = {training: value for training, value in others.items() if training not in loss.values}
    arrived = data.draw(st.integers(0, len(batches)))
    some = {training: loss.values[training] for batch in batches[:arrived] for training in batch}
    alone = follow_plan(MINI, some, uses_beta=uses_beta, goes_on=True)
    assert follow_plan(MINI, beside | some, uses_beta=uses_beta, goes_on=True) == alone


def test_a_loss_that_stops_at_the_halving_has_no_setting_even_where_all_of_it_is_known() -> None:
    _, batches = tune(MINI, lambda *_: 1.0)
    known = {training: 1.0 for batch in batches for training in batch}
    progress = follow_plan(MINI, known, uses_beta=True, goes_on=False)
    assert (progress.missing, progress.is_complete, progress.chosen) == ((), False, None)
    assert progress.is_first_draw_done
    assert {len(tried.values) for tried in progress.curve} == {1}


def test_a_finalist_that_fails_on_another_draw_loses() -> None:
    def value_of(setting: Setting, draw: int) -> float | None:
        return None if setting.beta == 1 and draw == 2 else -abs(octave(setting)) - (setting.learning_rate == LOWER)

    progress, _ = tune(MINI, value_of)
    assert progress.chosen is not None
    assert progress.chosen.beta != 1


def test_where_all_finalists_fail_somewhere_the_one_that_fails_least_is_chosen() -> None:
    def value_of(setting: Setting, draw: int) -> float | None:
        fails = draw >= 1 if setting.beta == 1 else draw == 1
        return None if fails else -abs(octave(setting)) - (setting.learning_rate == LOWER)

    progress, _ = tune(MINI, value_of)
    assert progress.settings == (Setting(0.5, FIRST, 120),)


def test_between_which_settings_it_chose_is_told_the_chosen_one_first() -> None:
    def value_of(setting: Setting, draw: int) -> float:
        return -abs(octave(setting)) - (setting.learning_rate == LOWER) - 9 * draw * (setting.beta == 1)

    first, second = tune(MINI, value_of)[0].settings
    assert (first.beta, second.beta) == (0.5, 1)
    assert tune(MINI, value_of, goes_on=False)[0].settings == ()
    richer = tune(PLANS["richer"], lambda setting, _: -abs(octave(setting)))[0].settings
    assert len(set(richer)) == 3


def test_another_setting_that_failed_on_a_draw_is_none_between_which_it_chose() -> None:
    def value_of(setting: Setting, draw: int) -> float | None:
        fails = draw == 2 and setting.beta == 1
        return None if fails else -abs(octave(setting)) - (setting.learning_rate == LOWER)

    assert tune(MINI, value_of)[0].settings == (Setting(0.5, FIRST, 120),)


def test_the_curve_goes_by_rate_steps_and_beta() -> None:
    for uses_beta in (True, False):
        progress, _ = tune(MINI, lambda setting, _: setting.beta, uses_beta=uses_beta)
        settings = [tried.setting for tried in progress.curve]
        assert len(settings) == 7
        assert settings == sorted(settings, key=lambda each: (each.learning_rate, each.steps, each.beta))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        follow_plan(MINI, {Training(MINI.start, 0): value}, uses_beta=True, goes_on=True)

"""What a confirmation can find is known before it is run."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from discovery_service.domain.confirming import compare, find_level
from discovery_service.domain.differences import Occasion
from discovery_service.domain.power import (
    MAX_DRAWS,
    MIN_DRAWS_OF_DEMO,
    POWER,
    count_draws,
    find_detectable,
    find_power,
)
from discovery_service.domain.students_t import find_t

DRAWS = st.integers(3, 20).map(lambda n: 3 * n)
FINALISTS = st.integers(1, 3)
TRIALS = 2000


@pytest.mark.parametrize(("draws", "finalists", "in_sd"), [(9, 2, 1.31), (12, 3, 1.12)])
def test_the_smallest_detectable_difference_is_that_of_the_plan(draws: int, finalists: int, in_sd: float) -> None:
    assert find_detectable(sd=1.0, draws=draws, finalists=finalists) == pytest.approx(in_sd, abs=0.006)


@pytest.mark.parametrize(("sd", "share"), [(0.135, 0.41), (0.25, 0.11)])
def test_a_tenth_is_found_as_rarely_as_was_planned_for(sd: float, share: float) -> None:
    assert find_power(0.1, sd=sd, draws=12, finalists=3) == pytest.approx(share, abs=0.005)


@given(st.floats(0, 1), st.floats(0.05, 0.5), DRAWS, FINALISTS, st.integers(1, 4))
def test_the_power_is_scipys(difference: float, sd: float, draws: int, finalists: int, policies: int) -> None:
    shift = difference / sd * draws**0.5
    beyond = stats.t.ppf(1 - 0.025 / finalists, draws - policies)
    # scipy's own is not a number in some far tails.
    if shift < 12:
        expected = stats.nct.sf(beyond, draws - policies, shift)
        found = find_power(difference, sd=sd, draws=draws, finalists=finalists, policies=policies)
        assert found == pytest.approx(expected, abs=1e-7)


@given(DRAWS, FINALISTS)
def test_what_is_no_better_is_found_so_with_the_nominal_rate(draws: int, finalists: int) -> None:
    assert find_power(0.0, sd=0.2, draws=draws, finalists=finalists) == pytest.approx(0.025 / finalists, rel=1e-6)


@settings(deadline=None)
@given(st.floats(0.01, 2), DRAWS, FINALISTS, st.floats(0.3, 0.99))
def test_the_detectable_difference_is_found_with_just_the_power(
    sd: float, draws: int, finalists: int, power: float
) -> None:
    found = find_detectable(sd=sd, draws=draws, finalists=finalists, power=power)
    assert find_power(found, sd=sd, draws=draws, finalists=finalists) == pytest.approx(power, abs=1e-9)


def test_confirmations_find_it_about_as_often_as_foretold() -> None:
    chance, found = random.Random(4), 0
    true = find_detectable(sd=0.2, draws=12, finalists=3)
    for _ in range(2000):
        differences = {Occasion(n % 3, f"{n}"): chance.gauss(true, 0.2) for n in range(12)}
        found += compare(differences, finalists=3).verdict == "better than"
    # Four standard errors about the .79 that the rule of signs leaves of .80.
    assert found / 2000 == pytest.approx(0.79, abs=0.036)


@settings(deadline=None)
@given(st.floats(0.02, 2), st.floats(0.01, 0.5), FINALISTS, st.sampled_from([9, 12, 15]))
def test_no_fewer_draws_would_do_and_none_are_wasted(detect: float, sd: float, finalists: int, at_least: int) -> None:
    draws = count_draws(detect, sd=sd, finalists=finalists, at_least=at_least)
    assert draws % 3 == 0
    assert at_least <= draws <= MAX_DRAWS
    if draws < MAX_DRAWS:
        assert find_detectable(sd=sd, draws=draws, finalists=finalists) <= detect
    if draws > at_least:
        assert find_detectable(sd=sd, draws=draws - 3, finalists=finalists) > detect


def test_an_easy_difference_takes_the_least_and_a_hopeless_one_the_most() -> None:
    assert count_draws(0.2, sd=0.02, finalists=3) == 12
    assert count_draws(0.2, sd=0.02, finalists=2, at_least=MIN_DRAWS_OF_DEMO) == 9
    assert count_draws(0.01, sd=0.25, finalists=3) == 60


@pytest.mark.parametrize("at_least", [0, 3, 10, 63])
def test_draws_that_do_not_spread_over_three_policies_are_refused(at_least: int) -> None:
    with pytest.raises(ValueError, match="multiple of 3"):
        count_draws(0.2, sd=0.1, finalists=1, at_least=at_least)


def test_without_noise_or_with_a_power_that_cannot_be_there_is_no_answer() -> None:
    for power, sd in ((0.8, 0.0), (1.0, 0.1)):
        with pytest.raises(ValueError, match=r"above 0|between 0 and 1"):
            find_detectable(sd=sd, draws=12, finalists=1, power=power)
    with pytest.raises(ValueError, match="above 0"):
        find_power(0.1, sd=0.0, draws=12, finalists=1)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(2, 6), FINALISTS)
def test_fewer_base_policies_leave_more_degrees_of_freedom(policies: int, each: int, finalists: int) -> None:
    draws = policies * each
    found = find_detectable(sd=1.0, draws=draws, finalists=finalists, policies=policies)
    degrees = draws - policies
    beyond = stats.t.ppf(1 - 0.025 / finalists, degrees)
    shift = found * draws**0.5
    # scipy's own is not a number in some far tails.
    if shift < 12:
        assert stats.nct.sf(beyond, degrees, shift) == pytest.approx(POWER, abs=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_where_the_reference_is_met_twice_what_is_told_is_found_at_least_as_often(rho: float) -> None:
    """Differences to its two settings, equally large, and correlated as the loss's own noise makes them."""
    gain = find_detectable(sd=1.0, draws=12, finalists=3, met=2)
    assert find_power(gain, sd=1.0, draws=12, finalists=3, met=2) == pytest.approx(POWER, abs=1e-9)
    chance, found, level = np.random.default_rng(0), 0, find_level(3)
    for _ in range(TRIALS):
        shared = chance.normal(size=12)
        differences = [gain + rho**0.5 * shared + (1 - rho) ** 0.5 * chance.normal(size=12) for _ in range(2)]
        lows = [each.mean() - find_t(level, 9) * _pooled_sd(each) / 12**0.5 for each in differences]
        found += min(lows) > 0
    assert found / TRIALS > POWER - 3 * (POWER * (1 - POWER) / TRIALS) ** 0.5


def _pooled_sd(values: np.ndarray) -> float:
    return float(np.mean([values[policy::3].var(ddof=1) for policy in range(3)])) ** 0.5

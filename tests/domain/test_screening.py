"""A screen's interval leans on what is known of other losses, as much as they are alike."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.differences import Variance
from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.domain.screening import Spread, find_usual_sd, fit_spread, screen
from discovery_service.domain.students_t import AS_GOOD_AS_INFINITE, find_t

DRAWS = st.lists(st.floats(-2, 2), min_size=3, max_size=3)


def _half(interval: Interval) -> float:
    assert interval.low is not None
    return interval.mean - interval.low


def _simulate(spread: Spread, losses: int, degrees: int, seed: int) -> list[Variance]:
    chance = random.Random(seed)
    found = []
    for _ in range(losses):
        variance = spread.sd**2 * spread.degrees / chance.gammavariate(spread.degrees / 2, 2)
        found.append(Variance(variance * chance.gammavariate(degrees / 2, 2) / degrees, degrees))
    return found


def test_it_is_the_formula_of_the_page_with_three_draws() -> None:
    differences, spread = [0.1, 0.3, 0.5], Spread(sd=0.12, degrees=2.3)
    shrunk = (2.3 * 0.12**2 + 2 * 0.2**2) / (2.3 + 2)
    half = find_t(0.95, 4.3) * math.sqrt(shrunk / 3)
    found = screen(differences, spread)
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))


@given(DRAWS)
def test_without_anything_known_it_is_students_interval(differences: list[float]) -> None:
    nothing = Spread(sd=1e-3, degrees=1e-9)
    assert _half(screen(differences, nothing)) == pytest.approx(_half(find_interval(differences)), rel=1e-3, abs=1e-6)


@given(DRAWS)
def test_where_all_losses_are_alike_its_width_is_theirs(differences: list[float]) -> None:
    alike = Spread(sd=0.1, degrees=1e9)
    assert _half(screen(differences, alike)) == pytest.approx(1.96 * 0.1 / math.sqrt(3), rel=1e-3)


@given(DRAWS, st.floats(0.01, 1), st.floats(0.5, 20))
def test_a_noisier_arena_never_makes_it_narrower(differences: list[float], sd: float, degrees: float) -> None:
    narrow, wide = (screen(differences, Spread(each, degrees)) for each in (sd, 2 * sd))
    assert _half(narrow) < _half(wide)


def test_one_draw_has_an_interval_by_what_is_known_alone() -> None:
    assert _half(screen([0.4], Spread(sd=0.1, degrees=2.3))) == pytest.approx(find_t(0.95, 2.3) * 0.1)


def test_over_losses_that_differ_in_noise_it_covers_what_it_promises() -> None:
    spread, chance = Spread(sd=0.12, degrees=2.3), random.Random(1)
    covered = 0
    for _ in range(4000):
        sd = spread.sd * math.sqrt(spread.degrees / chance.gammavariate(spread.degrees / 2, 2))
        found = screen([chance.gauss(0.2, sd) for _ in range(3)], spread)
        covered += abs(found.mean - 0.2) <= _half(found)
    assert covered / 4000 == pytest.approx(0.95, abs=0.014)  # four standard errors


@pytest.mark.parametrize("own_degrees", [2, 11])
@pytest.mark.parametrize("degrees", [2.3, 6.0, 20.0])
def test_the_fit_recovers_what_variances_were_drawn_from(own_degrees: int, degrees: float) -> None:
    found = fit_spread(_simulate(Spread(0.12, degrees), losses=20_000, degrees=own_degrees, seed=0))
    assert found.sd == pytest.approx(0.12, rel=0.03)
    assert found.degrees == pytest.approx(degrees, rel=0.25 if (own_degrees, degrees) == (2, 20.0) else 0.1)


def test_degrees_of_freedom_may_differ_between_losses() -> None:
    truth = Spread(0.12, 4.0)
    found = fit_spread([*_simulate(truth, 8000, degrees=2, seed=0), *_simulate(truth, 8000, degrees=21, seed=1)])
    assert (found.sd, found.degrees) == pytest.approx((0.12, 4.0), rel=0.08)


def test_variances_no_further_apart_than_chance_puts_them_are_taken_for_one() -> None:
    found = fit_spread([Variance(0.04, 2)] * 10)
    assert found.degrees == AS_GOOD_AS_INFINITE
    # That of log s² lies below that of the variance: 2 degrees by exp(-ψ(1)) = 1.78.
    assert found.sd**2 == pytest.approx(0.04 * math.exp(0.5772157), rel=1e-4)


@given(st.floats(0.01, 100))
def test_another_unit_of_measurement_scales_the_spread_alone(unit: float) -> None:
    variances = _simulate(Spread(0.12, 2.3), losses=30, degrees=11, seed=3)
    plain = fit_spread(variances)
    scaled = fit_spread(Variance(value * unit**2, degrees) for value, degrees in variances)
    assert (scaled.sd, scaled.degrees) == pytest.approx((plain.sd * unit, plain.degrees), rel=1e-6)


def test_a_loss_that_is_the_reference_says_nothing_of_the_others_noise() -> None:
    variances = _simulate(Spread(0.12, 2.3), losses=30, degrees=11, seed=3)
    assert fit_spread([*variances, Variance(0.0, 11)]) == fit_spread(variances)
    with pytest.raises(ValueError, match="not of 1"):
        fit_spread([Variance(0.0, 2), Variance(0.1, 2)])


def test_three_in_four_losses_that_differ_are_no_noisier_than_the_sd_of_their_arena() -> None:
    sds = [0.1, 0.2, 0.3, 0.4, 0.5]
    variances = [Variance(sd**2, 9) for sd in sds]
    assert find_usual_sd(variances) == pytest.approx(0.4)
    assert find_usual_sd([*variances, Variance(0.0, 9)]) == pytest.approx(0.4)
    assert find_usual_sd(variances[:1]) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="No loss differs"):
        find_usual_sd([Variance(0.0, 9)])


def test_one_loss_that_collapses_on_some_draws_does_not_make_its_arena_a_noisy_one() -> None:
    usual = [Variance((0.08 + 0.001 * number) ** 2, 9) for number in range(27)]
    assert find_usual_sd([*usual, Variance(16.0, 9)]) < 1.05 * find_usual_sd(usual)


@pytest.mark.parametrize(("sd", "degrees"), [(0.0, 2.3), (0.1, 0.0), (math.nan, 2.3), (0.1, math.inf)])
def test_a_spread_that_is_none_is_refused(sd: float, degrees: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Spread(sd, degrees)

import pytest

from discovery_service.domain.intervals import bound, find_interval


def test_a_mean_has_an_interval_from_two_draws_on() -> None:
    assert find_interval([1.0]).low is None
    found = find_interval([1.0, 2.0, 3.0])
    assert (found.mean, found.draws) == (2, 3)
    half = 4.303 / 3**0.5
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-3)


def test_draws_that_agree_have_no_width() -> None:
    found = find_interval([2.0] * 4)
    assert (found.low, found.high) == (2, 2)


def test_it_is_as_wide_as_its_level_and_its_degrees_of_freedom_ask() -> None:
    found = bound(1.0, 0.5, 11, draws=3, level=0.99)
    assert (found.low, found.high) == pytest.approx((1 - 0.5 * 3.106, 1 + 0.5 * 3.106), abs=1e-3)
    assert found.draws == 3

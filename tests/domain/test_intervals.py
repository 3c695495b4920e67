import pytest

from discovery_service.domain.intervals import find_interval, find_t


@pytest.mark.parametrize(
    ("degrees", "at_95", "at_99"),
    [(1, 12.706, 63.657), (2, 4.303, 9.925), (3, 3.182, 5.841), (11, 2.201, 3.106), (30, 2.042, 2.750)],
)
def test_students_t_is_that_of_the_tables(degrees: int, at_95: float, at_99: float) -> None:
    assert find_t(0.95, degrees) == pytest.approx(at_95, abs=6e-4)
    assert find_t(0.99, degrees) == pytest.approx(at_99, abs=6e-4)


def test_a_mean_has_an_interval_from_two_draws_on() -> None:
    assert find_interval([1.0]).low is None
    found = find_interval([1.0, 2.0, 3.0])
    assert (found.mean, found.draws) == (2, 3)
    half = 4.303 / 3**0.5
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-3)


def test_draws_that_agree_have_no_width() -> None:
    found = find_interval([2.0] * 4)
    assert (found.low, found.high) == (2, 2)

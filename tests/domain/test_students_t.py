"""Student's t and the noncentral t are the tables' and scipy's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from discovery_service.domain.students_t import find_share_above, find_t


@pytest.mark.parametrize(
    ("degrees", "at_95", "at_99"),
    [(1, 12.706, 63.657), (2, 4.303, 9.925), (3, 3.182, 5.841), (11, 2.201, 3.106), (30, 2.042, 2.750)],
)
def test_students_t_is_that_of_the_tables(degrees: int, at_95: float, at_99: float) -> None:
    assert find_t(0.95, degrees) == pytest.approx(at_95, abs=6e-4)
    assert find_t(0.99, degrees) == pytest.approx(at_99, abs=6e-4)


@given(st.floats(0.5, 0.999), st.floats(0.5, 1e5))
def test_degrees_need_not_be_whole(level: float, degrees: float) -> None:
    assert find_t(level, degrees) == pytest.approx(stats.t.ppf((1 + level) / 2, degrees), rel=1e-7)


@pytest.mark.parametrize("degrees", [1e6, 1e12, math.inf])
def test_with_many_degrees_it_is_the_normal_distribution(degrees: float) -> None:
    assert find_t(0.95, degrees) == pytest.approx(1.959964, abs=1e-6)
    assert find_t(0.95, 0.999e6) == pytest.approx(find_t(0.95, degrees), rel=3e-6)


@pytest.mark.parametrize(("level", "degrees"), [(0, 3), (1, 3), (0.95, 0), (0.95, -1), (0.95, math.nan)])
def test_what_has_no_quantile_is_refused(level: float, degrees: float) -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        find_t(level, degrees)


@given(st.floats(1, 6), st.integers(1, 200), st.floats(0, 8))
def test_the_noncentral_t_is_scipys(t: float, degrees: int, shift: float) -> None:
    assert find_share_above(t, degrees, shift) == pytest.approx(stats.nct.sf(t, degrees, shift), abs=1e-8)


@given(st.floats(0.5, 0.999), st.integers(1, 5000))
def test_without_a_shift_the_noncentral_t_is_students(level: float, degrees: int) -> None:
    above = find_share_above(find_t(level, degrees), degrees, shift=0)
    assert above == pytest.approx((1 - level) / 2, rel=1e-7)

"""They agree with scipy's wherever the statistics use them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from discovery_service.domain.special_functions import digamma, incomplete_beta, invert_trigamma, trigamma

POSITIVE = st.floats(1e-3, 1e6)


@given(POSITIVE)
def test_digamma_and_trigamma_are_scipys(x: float) -> None:
    assert digamma(x) == pytest.approx(special.digamma(x), rel=1e-11, abs=1e-11)
    assert trigamma(x) == pytest.approx(special.polygamma(1, x), rel=1e-11)


@given(st.floats(1e-6, 1e5))
def test_the_inverse_of_trigamma_leads_back(y: float) -> None:
    assert trigamma(invert_trigamma(y)) == pytest.approx(y, rel=1e-9)


@given(st.floats(0.05, 1e5), st.floats(0.05, 50), st.floats(0, 1))
def test_the_incomplete_beta_function_is_scipys(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("x", [0.0, -1.0, math.inf, math.nan])
def test_what_has_no_value_is_refused(x: float) -> None:
    for function in (digamma, trigamma, invert_trigamma):
        with pytest.raises(ValueError, match="above 0"):
            function(x)

import re

from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.figures import show, show_interval, show_setting
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting

numbers = st.floats(min_value=-1e12, max_value=1e12).filter(lambda value: value == 0 or abs(value) > 1e-12)


@given(numbers)
def test_a_number_has_four_significant_digits_and_is_off_by_no_more(value: float) -> None:
    shown = show(value)
    digits = re.sub(r"e.*$|[-+.]", "", shown).lstrip("0")
    assert len(digits) == (4 if value else 0)
    assert abs(float(shown) - value) <= abs(value) * 5.001e-4


def test_round_numbers_keep_their_digits_and_nothing_is_minus_nothing() -> None:
    assert (show(0.5), show(120.0), show(1234.0), show(-0.0)) == ("0.5000", "120.0", "1234", "0.000")
    assert (show(0.5, is_signed=True), show(-0.0, is_signed=True)) == ("+0.5000", "+0.000")


def test_a_mean_stands_with_its_interval_and_that_of_one_draw_says_so() -> None:
    assert show_interval(Interval(0.25, -0.1, 0.6, 3), is_signed=True) == "+0.2500 [-0.1000, +0.6000]"
    assert show_interval(Interval(1.5, None, None, 1)) == "1.500 (one draw)"


def test_a_setting_is_shown_as_it_was_set() -> None:
    assert show_setting(Setting(0.25, 1.5e-3, 120)) == "0.25, 0.0015, 120"

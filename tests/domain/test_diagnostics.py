import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.diagnostics import SHOWN, count_steps, list_courses, tell_training

STEPS = 120


def _margin(values: list[float | None], **others: Any) -> dict[str, Any]:
    return {"margin": values, **others}


def test_a_course_is_the_means_over_tenths_of_the_training() -> None:
    (course,) = list_courses(_margin([float(step // 12) for step in range(STEPS)]))
    assert course.means == tuple(float(tenth) for tenth in SHOWN)


def test_courses_come_in_the_order_in_which_they_are_read_whatever_the_series_is_stored_in() -> None:
    names = ["zeta", "loss", "rejected_log_ratio", "margin", "gradient_norm", "alpha"]
    courses = list_courses({name: [1.0] * STEPS for name in names})
    expected = ["margin", "rejected_log_ratio", "loss", "gradient_norm", "alpha", "zeta"]
    assert [each.name for each in courses] == expected


@pytest.mark.parametrize("at", [30, 60, 90])
def test_the_margin_is_at_rest_where_its_mean_over_a_tenth_reaches_nine_tenths_of_its_end(at: int) -> None:
    """A step function: of the tenth that ends with step s all but a tenth lies behind the jump 11 steps after it."""
    values: list[float | None] = [0.0] * at + [2.0] * (STEPS - at)
    assert f"reached 90 % of its final 2.000 nats by step {at + 11} of {STEPS}." in tell_training(_margin(values))[0]


def test_one_high_batch_is_no_rest() -> None:
    values: list[float | None] = [0.0] * STEPS
    values[3] = 5.0
    values[60:] = [2.0] * 60
    assert "by step 71 of 120" in tell_training(_margin(values))[0]


def test_a_margin_that_was_narrowed_is_told_so() -> None:
    assert tell_training(_margin([-0.5] * STEPS))[0] == "The margin ended at -0.5000 nats: it was not widened."


def test_steps_are_those_of_the_training_where_series_were_thinned() -> None:
    steps = [*range(0, 1200, 10), 1199]
    values = [0.0 if step < 600 else 1.0 for step in steps]
    series = {"step": [float(each) for each in steps], "margin": values}
    assert count_steps(series) == 1200
    # Twelve points are a tenth; the eleventh behind the jump is the point of step 700, counted from 1.
    assert "by step 701 of 1200" in tell_training(series)[0]
    assert [each.name for each in list_courses(series)] == ["margin"]


def test_the_last_change_of_the_kl_and_the_steepest_gradient_are_told() -> None:
    kl = [1.0] * 96 + [2.0] * 12 + [2.5] * 12
    norms = [1.0] * 40 + [9.0] + [1.0] * 79
    _, of_kl, of_gradient = tell_training(_margin([1.0] * STEPS, kl_estimate=kl, gradient_norm=norms))
    assert of_kl == "The KL estimate changed by +0.5000 nats from the last tenth but one to the last."
    assert of_gradient == "The gradient's norm before clipping was at most 9.000, at step 41."


def test_values_that_are_no_numbers_are_left_out_of_means_and_told_where_nothing_else_is_there() -> None:
    values: list[float | None] = [1.0] * 108 + [None] * 12
    (course,) = list_courses(_margin(values))
    assert course.means == (1.0,) * 5 + (None,)
    assert tell_training(_margin(values)) == ["The margin was not finite at the end."]


@given(
    st.dictionaries(
        st.sampled_from(["margin", "kl_estimate", "gradient_norm", "loss", "sampled_outcome"]),
        st.lists(st.none() | st.floats(), max_size=40),
        max_size=5,
    )
)
def test_any_series_is_told_without_a_number_that_is_none(series: dict[str, list[float | None]]) -> None:
    told = tell_training(series)
    assert not any("nan" in each or "inf" in each.replace("finite", "") for each in told)
    means = [mean for course in list_courses(series) for mean in course.means if mean is not None]
    assert all(map(math.isfinite, means)) or any(abs(each or 0) > 1e307 for part in series.values() for each in part)


def test_a_training_of_fewer_steps_than_tenths_has_no_course() -> None:
    assert list_courses(_margin([1.0] * 9)) == []
    assert tell_training(_margin([1.0] * 9)) == []
    assert count_steps({}) == 0

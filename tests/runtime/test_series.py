"""Series are thinned to what a message holds, and say which steps are left."""

import math
from itertools import pairwise

import pytest

from workers.runtime.protocol import LINE_BYTES, Done
from workers.runtime.series import MOST_POINTS, STEP, thin

NAMES = [f"a series of {number}" for number in range(8)]


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_what_is_short_is_left_as_it_is(steps: int) -> None:
    series = {"loss": [float(step) for step in range(steps)]}
    assert thin(series, most=10) == series


@pytest.mark.parametrize("steps", [11, 12, 19, 20, 21, 1000, 1001])
def test_what_is_long_keeps_first_and_last_and_says_of_which_step_each_point_is(steps: int) -> None:
    thinned = thin({"loss": [step / 7 for step in range(steps)], "margin": [-1.0 * step for step in range(steps)]}, 10)
    kept = [int(step or 0) for step in thinned[STEP]]
    assert (kept[0], kept[-1]) == (0, steps - 1)
    assert 5 <= len(kept) <= 10
    assert len({following - step for step, following in pairwise(kept[:-1])}) == 1
    assert thinned["loss"] == [step / 7 for step in kept]
    assert thinned["margin"] == [-step for step in kept]


def test_a_training_of_a_million_steps_fits_a_message() -> None:
    # No float takes more digits.
    longest = -math.pi * 1e-300
    series = thin({name: [longest] * 1_000_000 for name in NAMES})
    assert {len(values) for values in series.values()} <= set(range(MOST_POINTS + 1))
    assert len(Done(job="x", metrics={}, series=series, seconds={}).encode()) < LINE_BYTES / 4

"""Intervals over seeds and prompts hold the truth as often as they say, and say nothing where nothing varies."""

import numpy as np
import pytest

from workers.trying.estimate import find_mean, subtract


@pytest.mark.parametrize(("of_seeds", "of_prompts", "of_both"), [(0.1, 0.4, 0.2), (0.0, 0.5, 0.0), (0.3, 0.1, 0.1)])
def test_an_interval_holds_the_truth_in_95_of_100_trials_or_more(
    of_seeds: float, of_prompts: float, of_both: float
) -> None:
    """Drawn anew, seeds and prompts alike: not just the values of a given table."""
    draw, held, trials = np.random.default_rng(0), 0, 400
    for _ in range(trials):
        table = of_seeds * draw.normal(size=(3, 1)) + of_prompts * draw.normal(size=(1, 30))
        found = find_mean((table + of_both * draw.normal(size=(3, 30))).tolist())
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
    assert held / trials >= 0.93


def test_of_one_seed_or_where_all_is_equal_there_is_no_interval() -> None:
    assert find_mean([[0.0, 1.0, 1.0]]).low is None
    same = find_mean([[1.0] * 20] * 3)
    assert (same.mean, same.low, same.high) == (1.0, None, None)


def test_differences_are_taken_seed_by_seed_and_prompt_by_prompt() -> None:
    """What both share cancels, however much it varies."""
    shared = [[1.0, 5.0, -3.0], [0.0, 9.0, -7.0]]
    better = [[value + 0.5 + 0.01 * place for place, value in enumerate(row)] for row in shared]
    found = find_mean(subtract(better, shared))
    assert found.low is not None
    assert 0.48 < found.low < found.mean < 0.54

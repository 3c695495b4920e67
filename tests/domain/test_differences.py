"""What two losses have in common cancels, and what only one of them has is refused."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.differences import (
    Occasion,
    find_differences,
    find_effects,
    group_by_policy,
    pool_variance,
)

OCCASIONS = st.builds(Occasion, st.integers(0, 2), st.text("abc", max_size=3))
SCORES = st.dictionaries(OCCASIONS, st.integers(-9, 9).map(float), min_size=1)


@given(SCORES, st.integers(-100, 100))
def test_what_an_occasion_does_to_all_losses_cancels(loss: dict[Occasion, float], shift: int) -> None:
    shared = {each: float(hash(each) % 10) for each in loss}
    moved = {each: loss[each] + shared[each] + shift for each in loss}
    assert find_differences(moved, shared) == {each: loss[each] + shift for each in loss}


@given(SCORES)
def test_the_order_is_that_of_the_occasions_whatever_came_first(loss: dict[Occasion, float]) -> None:
    reference = dict.fromkeys(reversed(list(loss)), 0.0)
    backwards = dict(reversed(loss.items()))
    assert list(find_differences(loss, reference)) == list(find_differences(backwards, reference)) == sorted(loss)


def test_what_rounding_leaves_of_the_reference_is_no_difference() -> None:
    """Of losses that are the reference by other operations, but for what they share with all: no gain, no noise."""
    chance = random.Random(0)
    reference = {Occasion(number % 3, str(number)): chance.gauss(1, 0.1) for number in range(12)}
    same = {at: value + chance.gauss(2e-4, 3e-4) for at, value in reference.items()}
    assert set(find_differences(same, reference).values()) == {0.0}
    for shift, sd in ((0.05, 3e-4), (0.0, 0.02)):
        other = {at: value + shift + chance.gauss(0, sd) for at, value in reference.items()}
        assert find_differences(other, reference) == {at: other[at] - reference[at] for at in reference}
    few = [Occasion(0, "0"), Occasion(1, "1")]
    told = find_differences({at: same[at] for at in few}, {at: reference[at] for at in few})
    assert all(told.values())


def test_a_draw_that_only_one_has_is_refused_and_named() -> None:
    both, alone = Occasion(0, "a"), Occasion(1, "a")
    for loss, reference in (({both: 1.0, alone: 1.0}, {both: 1.0}), ({both: 1.0}, {both: 1.0, alone: 1.0})):
        with pytest.raises(ValueError, match="base policy 1, draw a"):
            find_differences(loss, reference)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        find_differences({}, {})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    occasion = Occasion(0, "a")
    with pytest.raises(ValueError, match="not finite"):
        find_differences({occasion: value}, {occasion: 0.0})


def test_policies_whose_effects_differ_add_nothing_to_the_variance() -> None:
    differences = {Occasion(policy, f"{n}"): 10.0 * policy + n for policy in (0, 1) for n in (0, 1, 2)}
    assert group_by_policy(differences) == {0: [0.0, 1.0, 2.0], 1: [10.0, 11.0, 12.0]}
    assert find_effects(differences) == {0: 1.0, 1: 11.0}
    assert pool_variance(differences) == (1.0, 4)


def test_equal_differences_have_exactly_no_variance() -> None:
    assert pool_variance({Occasion(0, f"{n}"): 0.1 for n in range(3)}).value == 0


def test_one_draw_a_policy_says_nothing_about_the_spread() -> None:
    with pytest.raises(ValueError, match="2 draws under 2 base policies"):
        pool_variance({Occasion(0, "a"): 0.0, Occasion(1, "a"): 1.0})

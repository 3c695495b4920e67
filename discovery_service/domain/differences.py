"""Paired differences of a loss and a reference: what they have in common, the draw and the base policy, cancels."""

import math
from collections.abc import Iterator, Mapping
from itertools import groupby
from statistics import fmean, variance
from typing import NamedTuple, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Occasion(NamedTuple):
    """On which every loss that is compared was trained once."""

    base_policy: int
    draw: str
    """Its key. Not its salt: in a placebo campaign each candidate has another one."""


class Variance(NamedTuple):
    value: float
    degrees: float
    """Of freedom: how well it is known."""


ROUNDING = 0.01
"""Of the reference's own standard deviation over draws. A difference of this size on all draws is no property of a
loss: of 53 losses and settings of the built-in arenas that are not DPO, the nearest differed by .17 of it."""


def find_whole(values: Mapping[Key, Value | None]) -> dict[Key, Value] | None:
    """None unless there is a value of each, and of one at least: those on which a loss failed were the hard ones, and
    what is left without them would flatter it."""
    whole = {key: value for key, value in values.items() if value is not None}
    return whole if whole and len(whole) == len(values) else None


def find_differences(loss: Mapping[Occasion, float], reference: Mapping[Occasion, float]) -> dict[Occasion, float]:
    """What the loss has more than the reference, by occasion, in order.

    0 on each where it is the reference up to rounding, such as DPO by `softplus`: of so small a spread whatever is left
    would be significant, and the noise fitted to the losses of an arena would be that of arithmetic.

    Raises ValueError unless both were measured on the same occasions: those on which one of them failed were the hard
    ones, and to leave them out would flatter it.
    """
    if loss.keys() != reference.keys():
        alone = sorted(loss.keys() ^ reference.keys())
        raise ValueError(f"Only one of the two was measured at {_tell(alone[0])}; {len(alone)} such in all.")
    if not loss:
        raise ValueError("There is nothing to compare: no measurement of either.")
    found = {each: loss[each] - reference[each] for each in sorted(loss)}
    for occasion, value in found.items():
        if not math.isfinite(value):
            raise ValueError(f"The difference at {_tell(occasion)} is not finite: {value}.")
    return dict.fromkeys(found, 0.0) if _is_rounding(found, reference) else found


def _is_rounding(differences: Mapping[Occasion, float], reference: Mapping[Occasion, float]) -> bool:
    """By the size of the differences, not by their spread: a gain that all draws share is one."""
    try:
        usual = pool_variance(reference).value
    except ValueError:  # one draw under each policy: nobody knows how much it varies
        return False
    return fmean(each**2 for each in differences.values()) < ROUNDING**2 * usual


def _tell(occasion: Occasion) -> str:
    return f"base policy {occasion.base_policy}, draw {occasion.draw}"


def group_by_policy(differences: Mapping[Occasion, float]) -> dict[int, list[float]]:
    def policy(occasion: Occasion) -> int:
        return occasion.base_policy

    ordered: Iterator[tuple[int, Iterator[Occasion]]] = groupby(sorted(differences), key=policy)
    return {number: [differences[each] for each in group] for number, group in ordered}


def find_effects(differences: Mapping[Occasion, float]) -> dict[int, float]:
    """The mean difference under each base policy."""
    return {policy: fmean(values) for policy, values in group_by_policy(differences).items()}


def pool_variance(differences: Mapping[Occasion, float]) -> Variance:
    """Of one difference over draws, within base policies: that effects differ between policies is no noise.

    A degree of freedom goes for each policy's mean. Raises ValueError where none is left.
    """
    groups = group_by_policy(differences).values()
    degrees = sum(len(values) - 1 for values in groups)
    if degrees < 1:
        raise ValueError(f"{len(differences)} draws under {len(groups)} base policies say nothing about their spread.")
    # statistics.variance is exact: where all are equal it is 0, not 1e-34.
    squares = sum((len(values) - 1) * variance(values) for values in groups if len(values) > 1)
    return Variance(squares / degrees, degrees)

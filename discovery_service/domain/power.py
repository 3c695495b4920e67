"""What a confirmation can find, before it is run: its power, the smallest detectable difference, the draws it needs.

The rule that all base policies agree in sign is left out; at 9 to 12 draws it costs one to two points of power. Where
the reference is met at several settings, a finalist is found where it is better than at each of them: with differences
that do not move against each other at least as often as if they were independent, which is what is told here.
"""

import math
from functools import lru_cache

from discovery_service.domain.confirming import find_level
from discovery_service.domain.students_t import find_share_above, find_t

POLICIES = 3
"""Base policies that a confirmation spreads its draws over evenly."""
POWER = 0.8
MIN_DRAWS_OF_DEMO = 9
MIN_DRAWS = 12
MAX_DRAWS = 60


def find_fewest_draws(policies: int) -> int:
    """As few as a confirmation has, spread evenly over so many base policies, and two of each to see its spread by."""
    return max(MIN_DRAWS + -MIN_DRAWS % policies, 2 * policies)


def find_power(
    difference: float, *, sd: float, draws: int, finalists: int, policies: int = POLICIES, met: int = 1
) -> float:
    """How often a finalist is found better whose true difference is this to the reference at each setting it is met at.

    At least so often: where the others are far easier than one of them, as often as if that were the only one.
    """
    if not sd > 0:
        raise ValueError(f"The standard deviation of a difference is above 0, not {sd}.")
    return float(_find_power_at(difference / sd * math.sqrt(draws), draws - policies, finalists) ** met)


def find_detectable(
    *, sd: float, draws: int, finalists: int, power: float = POWER, policies: int = POLICIES, met: int = 1
) -> float:
    """The smallest true difference that is found with this power, by draws spread evenly over so many base policies."""
    if not sd > 0:
        raise ValueError(f"The standard deviation of a difference is above 0, not {sd}.")
    return _find_shift(draws - policies, finalists, power, met) * sd / math.sqrt(draws)


def count_draws(
    detect: float, *, sd: float, finalists: int, at_least: int = MIN_DRAWS, policies: int = POLICIES, met: int = 1
) -> int:
    """The fewest at which a difference of this size is detectable, spread evenly over the base policies.

    At most 60, or as many as these policies divide; where those do not suffice either, `find_detectable` says what
    they can find.
    """
    if not policies < at_least <= MAX_DRAWS or at_least % policies:
        raise ValueError(
            f"At least {at_least} draws: must be a multiple of {policies}, from {2 * policies} to {MAX_DRAWS}."
        )
    most = MAX_DRAWS - MAX_DRAWS % policies
    for draws in range(at_least, most, policies):
        if find_power(detect, sd=sd, draws=draws, finalists=finalists, policies=policies, met=met) >= POWER:
            return draws
    return most


def _find_power_at(shift: float, degrees: int, finalists: int) -> float:
    """By the true difference in standard errors."""
    return find_share_above(find_t(find_level(finalists), degrees), degrees, shift)


@lru_cache(maxsize=256)
def _find_shift(degrees: int, finalists: int, power: float, met: int) -> float:
    if not 0 < power < 1:
        raise ValueError(f"A power lies between 0 and 1, not {power}.")
    power **= 1 / met
    low, high = 0.0, 1.0
    while _find_power_at(high, degrees, finalists) < power:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _find_power_at(middle, degrees, finalists) < power else (low, middle)
    return high

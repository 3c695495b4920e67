"""Student's t, of any real number of degrees of freedom, and the noncentral one that says how much a test can find."""

import math
from functools import lru_cache
from statistics import NormalDist

from discovery_service.domain.special_functions import incomplete_beta

AS_GOOD_AS_INFINITE = 1e6
"""Degrees of freedom from which on t and the normal distribution agree to six digits."""
_POINTS = 400


@lru_cache(maxsize=1024)
def find_t(level: float, degrees: float) -> float:
    """Within plus and minus this lies so much of Student's t of so many degrees of freedom."""
    if not 0 < level < 1 or not degrees > 0:
        raise ValueError(f"A level lies between 0 and 1 and degrees of freedom above 0, not {level} and {degrees}.")
    if degrees >= AS_GOOD_AS_INFINITE:
        return NormalDist().inv_cdf((1 + level) / 2)
    low, high = 0.0, 1.0
    while _find_share(high, degrees) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _find_share(middle, degrees) < level else (low, middle)
    return high


def _find_share(t: float, degrees: float) -> float:
    """Of the distribution within -t and t."""
    return 1 - incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def find_share_above(t: float, degrees: float, shift: float) -> float:
    """How often (Z + shift) / sqrt(chi² / degrees) comes out above t: the noncentral t's upper tail.

    By the trapezoid rule over v = log sqrt(chi² / degrees): smooth, and vanishing at both ends, so that the rule
    is good to all digits.
    """
    root = math.sqrt(degrees)
    log_scale = degrees / 2 * math.log(degrees / 2) - math.lgamma(degrees / 2) + math.log(2)
    # Beyond these the density of v is less than e⁻³⁶ of its peak.
    low, high = (-0.5 - 36 / degrees if degrees < 144 else -9 / root), 6 / root
    step = (high - low) / _POINTS
    total = 0.0
    for number in range(_POINTS + 1):
        v = low + number * step
        u = math.exp(v)
        density = math.exp(log_scale + degrees * (v - u * u / 2))
        total += density * math.erfc((t * u - shift) / math.sqrt(2)) / 2
    return total * step

"""A mean of a few draws with its interval, by Student's t, and a share with Wilson's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from discovery_service.domain.students_t import find_t

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    mean: float
    low: float | None
    """None of one draw: it says nothing about the next one."""
    high: float | None
    draws: int


def find_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    mean = fmean(values)
    if len(values) < 2:
        return Interval(mean, None, None, len(values))
    error = stdev(values) / math.sqrt(len(values))
    return bound(mean, error, len(values) - 1, draws=len(values), level=level)


def bound(mean: float, error: float, degrees: float, *, draws: int, level: float = LEVEL) -> Interval:
    """Of a mean with this standard error, known with so many degrees of freedom."""
    half = find_t(level, degrees) * error
    return Interval(mean, mean - half, mean + half, draws)


def find_share_interval(parts: int, whole: int, level: float = LEVEL) -> Interval:
    """Of a share that was counted: Wilson's, which stays within 0 and 1 and is never empty."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, width = parts / whole, z * z / whole
    middle, half = share + width / 2, z * math.sqrt(share * (1 - share) / whole + width / whole / 4)
    low, high = ((middle + side * half) / (1 + width) for side in (-1, 1))
    return Interval(share, max(low, 0.0), min(high, 1.0), whole)

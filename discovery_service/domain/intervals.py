"""A mean of a few draws with its interval, by Student's t."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

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

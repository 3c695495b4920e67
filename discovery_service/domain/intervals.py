"""A mean of a few draws with its interval, by Student's t."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

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
    half = find_t(level, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, len(values))


def find_t(level: float, degrees: int) -> float:
    """Within plus and minus this lies so much of Student's t of so many degrees of freedom."""
    low, high = 0.0, 1.0
    while _find_share(high, degrees) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _find_share(middle, degrees) < level else (low, middle)
    return high


def _find_share(t: float, degrees: int) -> float:
    """Of the distribution within -t and t: Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    is_odd = degrees % 2
    term, total = (cosine, 0.0) if is_odd else (1.0, 0.0)
    for step in range(degrees // 2):
        total += term
        below = 2 * step + 1 + is_odd
        term *= cosine * cosine * below / (below + 1)
    return (angle + sine * total) * 2 / math.pi if is_odd else sine * total

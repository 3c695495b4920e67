"""What may be said of a loss against a reference, read off an interval and off nothing else."""

from collections.abc import Collection
from enum import StrEnum

from discovery_service.domain.intervals import Interval


class Verdict(StrEnum):
    """In the words that go before the reference's name."""

    BETTER = "better than"
    WORSE = "worse than"
    NOT_DISTINGUISHABLE = "not distinguishable from"


def read_verdict(interval: Interval, effects: Collection[float]) -> Verdict:
    """By the interval of the difference and the effects under each base policy.

    "Better" asks more than "worse" does: a gain that one policy turns into a loss is no discovery. An interval without
    width is that of a loss that is the reference in this arena, up to rounding.
    """
    low, high = interval.low, interval.high
    if low is None or high is None or not low < high:
        return Verdict.NOT_DISTINGUISHABLE
    if low > 0 and all(effect > 0 for effect in effects):
        return Verdict.BETTER
    return Verdict.WORSE if high < 0 else Verdict.NOT_DISTINGUISHABLE

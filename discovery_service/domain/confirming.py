"""The confirmation of a finalist: its difference to a reference on fresh draws, stratified by base policy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from discovery_service.domain.differences import Occasion, find_effects, group_by_policy, pool_variance
from discovery_service.domain.intervals import LEVEL, Interval, bound
from discovery_service.domain.verdicts import Verdict, read_verdict


@dataclass(frozen=True)
class Comparison:
    verdict: Verdict
    interval: Interval
    level: float
    """Of the interval, by how many finalists are confirmed beside this one."""
    sd: float
    """Of one difference over draws, within base policies."""
    degrees: float
    effects: Mapping[int, float]
    """The mean difference under each base policy."""


def find_level(finalists: int) -> float:
    """Bonferroni's: of so many intervals all hold with 95 %."""
    if finalists < 1:
        raise ValueError(f"There is at least one finalist, not {finalists}.")
    return 1 - (1 - LEVEL) / finalists


def compare(differences: Mapping[Occasion, float], finalists: int) -> Comparison:
    """By the finalist's own variance, and every base policy with the same weight.

    The claim is about these policies: no term is in it for how others would differ.
    """
    level = find_level(finalists)
    variance, degrees = pool_variance(differences)
    groups, effects = group_by_policy(differences), find_effects(differences)
    error = math.sqrt(variance * sum(1 / len(values) for values in groups.values())) / len(groups)
    interval = bound(fmean(effects.values()), error, degrees, draws=len(differences), level=level)
    return Comparison(
        verdict=read_verdict(interval, effects.values()),
        interval=interval,
        level=level,
        sd=math.sqrt(variance),
        degrees=degrees,
        effects=effects,
    )

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


def stratify(values: Mapping[Occasion, float], level: float = LEVEL) -> Interval:
    """Their mean, every base policy with the same weight, with the interval that draws leave: policies are given."""
    variance, degrees = pool_variance(values)
    groups = group_by_policy(values).values()
    error = math.sqrt(variance * sum(1 / len(each) for each in groups)) / len(groups)
    return bound(fmean(map(fmean, groups)), error, degrees, draws=len(values), level=level)


def compare(differences: Mapping[Occasion, float], finalists: int) -> Comparison:
    """By the finalist's own variance, and every base policy with the same weight.

    The claim is about these policies: no term is in it for how others would differ.
    """
    level, effects = find_level(finalists), find_effects(differences)
    variance, degrees = pool_variance(differences)
    interval = stratify(differences, level)
    return Comparison(
        verdict=read_verdict(interval, effects.values()),
        interval=interval,
        level=level,
        sd=math.sqrt(variance),
        degrees=degrees,
        effects=effects,
    )

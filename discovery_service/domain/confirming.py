"""The confirmation of a finalist: its difference to a reference on fresh draws, stratified by base policy.

DPO, the reference of verdicts, is met at each setting between which its tuning chose: a wrong choice there would be a
gain for everybody that is compared with it, while a finalist's own costs itself alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from discovery_service.domain.differences import Occasion, find_effects, group_by_policy, pool_variance
from discovery_service.domain.intervals import LEVEL, Interval, bound
from discovery_service.domain.measuring import Setting
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


@dataclass(frozen=True)
class Match:
    """A finalist against a reference at each of its settings."""

    verdict: Verdict
    hardest: Setting
    """Of the reference's, the one whose comparison counts and is shown."""
    comparisons: Mapping[Setting, Comparison]

    @property
    def counting(self) -> Comparison:
        return self.comparisons[self.hardest]

    @property
    def others(self) -> dict[Setting, Comparison]:
        return {setting: each for setting, each in self.comparisons.items() if setting != self.hardest}


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


def compare_with_all(differences: Mapping[Setting, Mapping[Occasion, float]], finalists: int) -> Match:
    """By the differences to the reference at each of its settings, on the same draws.

    "Better" means better than it at every one, each at the same level: that needs no further correction, as it is said
    only where the hardest to beat is beaten too (intersection-union test, Berger 1982). "Worse" means worse than the
    hardest alone, the one with the lowest lower bound. As that is picked once the differences are known, "worse" is
    said of a loss that equals the reference up to twice as often as of one setting (4.3 % for 2.5 % in a simulation).
    Where the loss is the reference itself, without any spread of the difference, that setting counts.
    """
    found = {setting: compare(each, finalists) for setting, each in differences.items()}
    hardest = min(found, key=lambda setting: (found[setting].sd > 0, _find_low(found[setting])))
    verdict = found[hardest].verdict
    if verdict is Verdict.BETTER and not all(each.verdict is Verdict.BETTER for each in found.values()):
        verdict = Verdict.NOT_DISTINGUISHABLE
    return Match(verdict, hardest, found)


def _find_low(found: Comparison) -> float:
    return -math.inf if found.interval.low is None else found.interval.low

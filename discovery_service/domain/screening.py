"""The interval of a screen: three draws know little of their own spread, so what is known of other losses' helps.

The variance of a loss's differences is taken to be s₀²·d₀/chi²(d₀), other for every loss, as in Smyth, "Linear models
and empirical Bayes methods for assessing differential expression in microarray experiments", 2004 (doi
10.2202/1544-6115.1027).
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from statistics import fmean, quantiles, variance

from discovery_service.domain.differences import Variance
from discovery_service.domain.intervals import Interval, bound
from discovery_service.domain.special_functions import digamma, invert_trigamma, trigamma
from discovery_service.domain.students_t import AS_GOOD_AS_INFINITE


@dataclass(frozen=True)
class Spread:
    """How noisy the losses of an arena are, fitted at its calibration."""

    sd: float
    """s₀, of the typical loss's paired difference over draws."""
    degrees: float
    """d₀: few where losses differ widely in it, a million where they all have the same."""

    def __post_init__(self) -> None:
        if not (0 < self.sd < math.inf and 0 < self.degrees < math.inf):
            raise ValueError(f"A spread and its degrees of freedom are above 0 and finite, not {self}.")


def screen(differences: Collection[float], spread: Spread) -> Interval:
    """The mean of a loss's differences under one base policy with its 95 % interval.

    Right on average over losses that are as noisy as those of the fit; for a single loss it need not be.
    """
    own_degrees = len(differences) - 1
    own_variance = variance(differences) if own_degrees else 0.0
    degrees = spread.degrees + own_degrees
    shrunk = (spread.degrees * spread.sd**2 + own_degrees * own_variance) / degrees
    return bound(fmean(differences), math.sqrt(shrunk / len(differences)), degrees, draws=len(differences))


def find_usual_sd(variances: Iterable[Variance]) -> float:
    """Of an arena, by which a confirmation is planned: three in four of its losses are no noisier.

    Above the typical loss's, as what a search finds is as unusual as the noisier ones; and a quantile, because of 28
    losses in `fluent:mini` one collapsed on some draws (4.0, beside a median of .10), and the root of the mean variance
    was .78. A variance of 0 is left out, as in `fit_spread`; ValueError where all are.
    """
    kept = sorted(math.sqrt(each.value) for each in variances if each.value > 0)
    if not kept:
        raise ValueError("No loss differs from the reference: nothing is known of the noise of a difference.")
    return kept[0] if len(kept) == 1 else quantiles(kept, n=4, method="inclusive")[2]


def fit_spread(variances: Iterable[Variance]) -> Spread:
    """s₀ and d₀ together, by the first two moments of log s² (Smyth 2004, section 6.2).

    A variance of 0 is left out: that loss is the reference in this arena, and tells nothing of the noise of others.
    Raises ValueError with fewer than two others. With few, d₀ is rough.
    """
    kept = [each for each in variances if each.value > 0]
    if len(kept) < 2:
        raise ValueError(f"A spread is fitted to the variances of two losses or more, not of {len(kept)}.")
    logs = [math.log(value) - digamma(degrees / 2) + math.log(degrees / 2) for value, degrees in kept]
    sampling = fmean(trigamma(degrees / 2) for _, degrees in kept)
    between = variance(logs) - sampling
    prior = AS_GOOD_AS_INFINITE
    if between > trigamma(AS_GOOD_AS_INFINITE / 2):
        prior = 2 * invert_trigamma(between)
    return Spread(math.exp((fmean(logs) + digamma(prior / 2) - math.log(prior / 2)) / 2), prior)

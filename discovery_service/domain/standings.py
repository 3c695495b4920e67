"""Standings as a projection: what the measurements of a loss and of its references say, and no more.

A number of the screen has no verdict. Nothing is said of a confirmation before all of it is measured: whoever looks
earlier looks more often than the level allows for.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from discovery_service.domain.confirming import Comparison, Match, compare_with_all, stratify
from discovery_service.domain.differences import Occasion, find_differences, pool_variance
from discovery_service.domain.freezing import Role
from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.metrics import OWN
from discovery_service.domain.screening import Spread, find_usual_sd, fit_spread, screen

ABANDONED = "abandoned"
"""Among the codes of failures: three crashes, which are our own fault."""
SHOWN = ("J", "attained", "score", "reward", "accuracy", "win_rate", "kl", "length", *OWN)
"""Of the metrics of an arena, besides the one that counts."""


@dataclass(frozen=True)
class Trained:
    """What came of a loss at one setting on the draws of one stage."""

    setting: Setting
    counts: str
    """The metric by which losses are compared."""
    metrics: Mapping[Occasion, Mapping[str, float | None]] = field(default_factory=dict)
    failures: Mapping[Occasion, str] = field(default_factory=dict)
    """A code where the candidate failed, or where we gave up."""

    @property
    def values(self) -> dict[Occasion, float]:
        counted = {occasion: metrics.get(self.counts) for occasion, metrics in self.metrics.items()}
        return {occasion: value for occasion, value in counted.items() if value is not None}

    def is_measured(self, occasions: Collection[Occasion]) -> bool:
        """On all of them, as an interval needs: those where it failed were the hard ones."""
        return self.values.keys() == set(occasions)

    def is_settled(self, occasions: Collection[Occasion]) -> bool:
        """Measured or failed on all of them."""
        return self.metrics.keys() | self.failures.keys() >= set(occasions)


@dataclass(frozen=True)
class Score:
    """What a row of the standings says."""

    setting: Setting
    draws: int
    interval: Interval | None = None
    verdict: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


class OwnSpread(NamedTuple):
    """What a campaign's own library says, where nobody has calibrated."""

    spread: Spread
    sd: float
    """By which its confirmation is planned, as that of a calibrated arena."""


def find_own_spread(
    library: Sequence[Trained], reference: Trained, occasions: Collection[Occasion]
) -> OwnSpread | None:
    """None where that says nothing of noise."""
    if not reference.is_measured(occasions):
        return None
    variances = [
        pool_variance(find_differences(each.values, reference.values))
        for each in library
        if each.is_measured(occasions)
    ]
    try:
        return OwnSpread(fit_spread(variances), find_usual_sd(variances))
    except ValueError:  # fewer than two that differ from the reference
        return None


def score_screen(
    loss: Trained, reference: Trained | None, occasions: Collection[Occasion], spread: Spread | None
) -> Score:
    """Against the reference at its own best on the same draws; None for the reference itself.

    Without a spread by the loss's own variance alone, which is a wide interval.
    """
    figures: dict[str, Any] = {"failed": _tell_failures(loss), "spread": None if spread is None else asdict(spread)}
    if loss.is_measured(occasions):
        figures["means"] = _find_means(loss, lambda values: find_interval(list(values.values())))
    interval = None
    if reference is not None and loss.is_measured(occasions) and reference.is_measured(occasions):
        differences = list(find_differences(loss.values, reference.values).values())
        interval = find_interval(differences) if spread is None else screen(differences, spread)
    return Score(loss.setting, len(loss.values), interval, None, figures)


def tell_unfinished(role: Role, loss: Trained) -> Score:
    """Of a confirmation that is not all measured: how far it is, and nothing else."""
    figures = {"role": role.value, "failed": _tell_failures(loss)}
    return Score(loss.setting, len(loss.values), figures=figures)


Reference = Sequence[Trained]
"""At each setting with which it was frozen, the chosen one first."""


def score_confirmation(
    loss: Trained, references: Mapping[str, Reference], occasions: Collection[Occasion], finalists: int
) -> Score:
    """Of a finalist against each reference, the first of which is the one that the verdict is about.

    The others' intervals are not joint with it.
    """
    figures: dict[str, Any] = {"role": Role.FINALIST.value, "failed": _tell_failures(loss)}
    everybody = [loss, *(each for reference in references.values() for each in reference)]
    if not all(each.is_settled(occasions) for each in everybody):
        return Score(loss.setting, len(loss.values), figures=figures)
    if not loss.is_measured(occasions):
        return Score(loss.setting, len(loss.values), figures=figures | {"against": {}})
    matches = {name: _match(loss, each, occasions, finalists) for name, each in references.items()}
    figures["means"] = _find_means(loss, stratify)
    figures["against"] = {name: _tell_match(each) for name, each in matches.items() if each is not None}
    main = next(iter(matches.values()), None)
    if main is None:
        return Score(loss.setting, len(loss.values), figures=figures)
    return Score(loss.setting, len(loss.values), main.counting.interval, main.verdict.value, figures)


def score_reference(reference: Reference, occasions: Collection[Occasion]) -> Score:
    """By its means alone, once it is settled: at the chosen setting, and beside it at the others."""
    is_settled = all(each.is_settled(occasions) for each in reference)

    def tell(trained: Trained) -> dict[str, Any]:
        told: dict[str, Any] = {"failed": _tell_failures(trained)}
        is_shown = is_settled and trained.is_measured(occasions)
        return told | {"means": _find_means(trained, stratify)} if is_shown else told

    chosen, *others = reference
    figures = {"role": Role.REFERENCE.value, **tell(chosen)}
    if others:
        figures["others"] = [{"setting": each.setting.document(), **tell(each)} for each in others]
    return Score(chosen.setting, len(chosen.values), figures=figures)


def _match(loss: Trained, reference: Reference, occasions: Collection[Occasion], finalists: int) -> Match | None:
    """None where the reference was not measured on all draws at each of its settings.

    The one that is missing might have been the hardest, and the draws on which it failed were the hard ones.
    """
    if not all(each.is_measured(occasions) for each in reference):
        return None
    differences = {each.setting: find_differences(loss.values, each.values) for each in reference}
    return compare_with_all(differences, finalists)


def _find_means(loss: Trained, estimate: Callable[[Mapping[Occasion, float]], Interval]) -> dict[str, Any]:
    """Each metric that there is on all draws, with an interval of 95 % of its own."""
    means = {}
    for name in dict.fromkeys((loss.counts, *SHOWN)):
        values = {at: value for at, metrics in loss.metrics.items() if (value := metrics.get(name)) is not None}
        if len(values) == len(loss.metrics):
            means[name] = asdict(estimate(values))
    return means


def _tell_match(match: Match) -> dict[str, Any]:
    """The comparison that counts with the verdict on all, and the others beside it."""
    told = {"setting": match.hardest.document(), **_tell_comparison(match.counting), "verdict": match.verdict.value}
    beside = [{"setting": at.document(), **_tell_comparison(each)} for at, each in match.others.items()]
    return told | {"others": beside} if beside else told


def _tell_comparison(found: Comparison) -> dict[str, Any]:
    return {
        "verdict": found.verdict.value,
        "difference": found.interval.mean,
        "lower": found.interval.low,
        "upper": found.interval.high,
        "draws": found.interval.draws,
        "level": found.level,
        "sd": found.sd,
        "degrees": found.degrees,
        "effects": {str(policy): effect for policy, effect in found.effects.items()},
    }


def _tell_failures(loss: Trained) -> list[dict[str, Any]]:
    return [
        {"base_policy": at.base_policy, "draw": at.draw, "code": code} for at, code in sorted(loss.failures.items())
    ]

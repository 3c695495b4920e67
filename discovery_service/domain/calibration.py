"""What the tuned library tells of an arena: how noisy differences are in it, what can be found, who beats DPO.

Pure: from the values of losses on the same fresh draws to the document that is published of the arena.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from discovery_service.domain.agreement import find_agreement
from discovery_service.domain.confirming import Match, compare, compare_with_all, find_level, stratify
from discovery_service.domain.differences import Occasion, find_differences, find_whole, pool_variance
from discovery_service.domain.intervals import Interval
from discovery_service.domain.known_losses import find_reference
from discovery_service.domain.measuring import Setting
from discovery_service.domain.power import find_detectable
from discovery_service.domain.screening import Spread, find_usual_sd, fit_spread
from discovery_service.domain.verdicts import Verdict

FINALISTS = 3
"""Of a campaign, as far as the smallest detectable difference is published."""
FEWEST_RANKED = 3
DIGITS = 4
"""Significant ones: a spread that is small where J is small is not 0."""


class Incomparable(ValueError):
    """The losses failed, or are all the same: nothing can be said of the arena."""


@dataclass(frozen=True)
class Tuned:
    """A loss of the library at its best, on the draws that all share."""

    settings: tuple[Setting, ...]
    """Those that reached the last stage of its tuning, the chosen one first: a reference is met at each of them.

    None where no training of its tuning succeeded.
    """
    values: Mapping[Setting, Mapping[Occasion, float | None]]
    """At the chosen one, and of the reference at all of them; of the metric that counts, None where training failed."""

    def succeeded(self) -> dict[Setting, dict[Occasion, float]] | None:
        """None unless it did on all draws at each."""
        return find_whole({setting: find_whole(values) for setting, values in self.values.items()})

    def succeeded_at_best(self) -> dict[Occasion, float] | None:
        return find_whole(self.values[self.settings[0]]) if self.settings else None


def describe_library(library: Mapping[str, Tuned]) -> dict[str, Any]:
    """Of losses by name, their family's reference among them. Incomparable where that failed, or fewer than two others
    differ from it.
    """
    compared_with = find_reference(library)
    references = library[compared_with].succeeded()
    if references is None:
        raise Incomparable(
            f"{compared_with} failed on some of the draws: nothing can be compared with it in this arena."
        )
    chosen = library[compared_with].settings[0]
    reference = references[chosen]
    whole = {name: each for name, tuned in library.items() if (each := tuned.succeeded_at_best()) is not None}
    others = [name for name in whole if name != compared_with]
    differences = {
        name: {at: find_differences(whole[name], each) for at, each in references.items()} for name in others
    }
    compared = {name: compare_with_all(each, len(others)) for name, each in differences.items()}
    variances = [pool_variance(each[chosen]) for each in differences.values()]
    if sum(each.value > 0 for each in variances) < 2:
        raise Incomparable(f"fewer than two losses that were measured on all draws differ from {compared_with} in it.")
    policies = sorted({at.base_policy for at in reference})
    spread, sd = fit_spread(variances), find_usual_sd(variances)
    return {
        "draws": len(reference),
        "base_policies": policies,
        "losses": {name: _describe(tuned, compared.get(name)) for name, tuned in library.items()},
        "level": find_level(len(others)),
        "better": sorted(name for name, each in compared.items() if each.verdict is Verdict.BETTER),
        "worse": sorted(name for name, each in compared.items() if each.verdict is Verdict.WORSE),
        "spread": {"sd": _round(spread.sd), "degrees": _round(spread.degrees)},
        "sd": _round(sd),
        "detectable": {
            "difference": _round(
                find_detectable(
                    sd=sd,
                    draws=len(reference),
                    finalists=FINALISTS,
                    policies=len(policies),
                    met=len(references),
                )
            ),
            "draws": len(reference),
            "finalists": FINALISTS,
        },
    }


def describe_steps(
    planned: Tuned, others: Mapping[int, Mapping[Occasion, float | None]], noise: float | None
) -> list[dict[str, Any]]:
    """What the reference gains from other numbers of steps than its tuned one, and whether that is more than A/A noise.

    Of an arena without published noise nobody knows, nor where the gain's interval holds it. Incomparable where the
    reference failed at its own.
    """
    reference = planned.succeeded_at_best()
    if reference is None:
        raise Incomparable("The reference failed on some of the draws: nothing can be compared with it in this arena.")
    return [_describe_steps(steps, find_whole(values), reference, noise) for steps, values in others.items()]


def _describe_steps(
    steps: int, values: Mapping[Occasion, float] | None, reference: Mapping[Occasion, float], noise: float | None
) -> dict[str, Any]:
    found = None if values is None else compare(find_differences(values, reference), 1).interval
    return {
        "steps": steps,
        "difference": None if found is None else _tell(found),
        "gains_less_than_noise": None if noise is None or found is None else _is_below(found, noise),
    }


def _is_below(interval: Interval, noise: float) -> bool | None:
    """None where the interval holds both."""
    if interval.high is not None and interval.high < noise:
        return True
    return False if interval.low is not None and interval.low > noise else None


def describe_agreement(name: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any] | None:
    """How two arenas rank the losses that both could compare, from what is published of their libraries.

    None where there are fewer than three, or all tie in one of the two: nothing is ranked there.
    """
    means = [
        {loss: each["value"]["mean"] for loss, each in library["losses"].items() if each["value"] is not None}
        for library in (here, there)
    ]
    common = [loss for loss in means[0] if loss in means[1]]
    first, second = ([each[loss] for loss in common] for each in means)
    if len(common) < FEWEST_RANKED or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    found = find_agreement(first, second)
    return {"with": name, **{key: _round(value) for key, value in asdict(found).items()}}


def is_without_spread(library: Mapping[str, Any]) -> bool:
    """Whether no tuned loss can be told from DPO: such an arena is a control, whatever it was made for."""
    return not library["better"] and not library["worse"]


def read_spread(library: Mapping[str, Any]) -> Spread:
    return Spread(**library["spread"])


def _describe(tuned: Tuned, compared: Match | None) -> dict[str, Any]:
    values = tuned.succeeded_at_best()
    failed = sum(value is None for values in tuned.values.values() for value in values.values())
    return {
        "settings": [each.document() for each in tuned.settings],
        "failed": failed,
        "value": None if values is None else _tell(stratify(values)),
        "difference": None if compared is None else _tell(compared.counting.interval),
        "sd": None if compared is None else _round(compared.counting.sd),
    }


def _tell(interval: Interval) -> dict[str, Any]:
    return {key: _round(value) for key, value in asdict(interval).items()}


def _round(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value

"""What the tuned library tells of an arena: how noisy differences are in it, what can be found, who beats DPO.

Pure: from the values of losses on the same fresh draws to the document that is published of the arena.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from discovery_service.domain.agreement import find_agreement
from discovery_service.domain.confirming import Comparison, compare, stratify
from discovery_service.domain.differences import Occasion, Variance, find_differences
from discovery_service.domain.intervals import Interval
from discovery_service.domain.known_losses import REFERENCE_LOSS
from discovery_service.domain.measuring import Setting
from discovery_service.domain.power import find_detectable
from discovery_service.domain.screening import Spread, fit_spread, pool_sd
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
    values: Mapping[Occasion, float | None]
    """At the chosen one, of the metric that counts; None where the training failed."""

    def succeeded(self) -> dict[Occasion, float] | None:
        """None unless it did on all of them: those on which it failed were the hard ones."""
        whole = {at: value for at, value in self.values.items() if value is not None}
        return whole if whole and len(whole) == len(self.values) else None


def describe_library(library: Mapping[str, Tuned]) -> dict[str, Any]:
    """Of losses by name, DPO among them. Incomparable where DPO failed, or fewer than two others differ from it."""
    reference = library[REFERENCE_LOSS].succeeded()
    if reference is None:
        raise Incomparable("DPO failed on some of the draws: nothing can be compared with it in this arena.")
    whole = {name: each for name, tuned in library.items() if (each := tuned.succeeded()) is not None}
    others = [name for name in whole if name != REFERENCE_LOSS]
    compared = {name: compare(find_differences(whole[name], reference), len(others)) for name in others}
    variances = [Variance(each.sd**2, each.degrees) for each in compared.values()]
    if sum(each.value > 0 for each in variances) < 2:
        raise Incomparable("fewer than two losses that were measured on all draws differ from DPO in it.")
    policies = sorted({at.base_policy for at in reference})
    spread, sd = fit_spread(variances), pool_sd(variances)
    return {
        "draws": len(reference),
        "base_policies": policies,
        "losses": {name: _describe(tuned, compared.get(name)) for name, tuned in library.items()},
        "level": compared[others[0]].level,
        "better": sorted(name for name, each in compared.items() if each.verdict is Verdict.BETTER),
        "worse": sorted(name for name, each in compared.items() if each.verdict is Verdict.WORSE),
        "spread": {"sd": _round(spread.sd), "degrees": _round(spread.degrees)},
        "sd": _round(sd),
        "detectable": {
            "difference": _round(
                find_detectable(sd=sd, draws=len(reference), finalists=FINALISTS, policies=len(policies))
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
    reference = planned.succeeded()
    if reference is None:
        raise Incomparable("The reference failed on some of the draws: nothing can be compared with it in this arena.")
    return [
        _describe_steps(steps, Tuned(planned.settings, values), reference, noise) for steps, values in others.items()
    ]


def _describe_steps(
    steps: int, tuned: Tuned, reference: Mapping[Occasion, float], noise: float | None
) -> dict[str, Any]:
    values = tuned.succeeded()
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
    common = [loss for loss in here["losses"] if _effect(here, loss) is not None and _effect(there, loss) is not None]
    first, second = ([_effect(library, loss) or 0.0 for loss in common] for library in (here, there))
    if len(common) < FEWEST_RANKED or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    found = find_agreement(first, second)
    return {"with": name, **{key: _round(value) for key, value in asdict(found).items()}}


def is_without_spread(library: Mapping[str, Any]) -> bool:
    """Whether no tuned loss can be told from DPO: such an arena is a control, whatever it was made for."""
    return not library["better"] and not library["worse"]


def read_spread(library: Mapping[str, Any]) -> Spread:
    return Spread(**library["spread"])


def _describe(tuned: Tuned, compared: Comparison | None) -> dict[str, Any]:
    values = tuned.succeeded()
    return {
        "settings": [each.document() for each in tuned.settings],
        "failed": sum(value is None for value in tuned.values.values()),
        "value": None if values is None else _tell(stratify(values)),
        "difference": None if compared is None else _tell(compared.interval),
        "sd": None if compared is None else _round(compared.sd),
    }


def _effect(library: Mapping[str, Any], loss: str) -> float | None:
    """Of DPO itself 0."""
    found = library["losses"].get(loss)
    if found is None or found["value"] is None:
        return None
    return 0.0 if found["difference"] is None else float(found["difference"]["mean"])


def _tell(interval: Interval) -> dict[str, Any]:
    return {key: _round(value) for key, value in asdict(interval).items()}


def _round(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value

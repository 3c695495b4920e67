"""From what was counted in re-drawn campaigns to what is told: shares with intervals, and targets."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

from benchmarks.bank_file import Bank
from benchmarks.bank_plan import CONFIRM, CONTROLS, DPO, LIBRARY, LIBRARY_DRAWS, MAIN, WITH_WINNER
from benchmarks.bank_worlds import find_library, find_values
from benchmarks.judging import COPIES, LOSSES, Counts
from benchmarks.redrawn import CONFIRM_DRAWS, FINALISTS, World
from benchmarks.throughput_figures import Target
from benchmarks.truth_campaigns import GAINS, Drawing, add_up
from discovery_service.domain.confirming import compare_with_all
from discovery_service.domain.differences import find_differences
from discovery_service.domain.intervals import LEVEL
from discovery_service.domain.power import find_power
from discovery_service.domain.verdicts import Verdict

TYPICAL_SDS = (0.135, 0.25)
"""Of two arenas of the prototype, for which the power that theory gives is told."""


def find_share(drawing: Drawing, part: Any, whole: Any) -> dict[str, Any]:
    """With the interval that the bank's few draws leave: of the same share in campaigns from banks drawn from it.

    Those are fewer campaigns, so that it is somewhat too wide. None where there was nothing to count.
    """
    share = _divide(drawing.total, part, whole)
    again = sorted(each for each in (_divide(counts, part, whole) for counts in drawing.banks) if each is not None)
    low, high = find_quantiles(again) if again else (None, None)
    return {"share": share, "low": low, "high": high}


def _divide(counts: Counts, part: Any, whole: Any) -> float | None:
    return counts[part] / counts[whole] if counts[whole] else None


def find_quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Between which 95 % of the sorted values lie."""
    cut = math.floor(0.025 * len(values))
    return values[cut], values[-1 - cut]


def describe_placebo(drawings: Mapping[str, Drawing]) -> dict[str, Any]:
    told = _tell_placebo(add_up(drawings.values()))
    return told | {"arenas": {arena: _tell_placebo(each) for arena, each in drawings.items()}}


def _tell_placebo(drawing: Drawing) -> dict[str, Any]:
    total = drawing.total
    return {
        "campaigns": total["campaigns"],
        "discoveries": total["with better"],
        **find_share(drawing, "with better", "campaigns"),
        "verdicts_a_campaign": find_share(drawing, Verdict.BETTER, "campaigns"),
        "worse": find_share(drawing, "with worse", "campaigns"),
    }


def describe_planted(drawings: Mapping[str, Drawing], worlds: Mapping[str, World]) -> dict[str, Any]:
    told = _tell_planted(add_up(drawings.values()))
    return told | {"arenas": {arena: _tell_winner(each, worlds[arena]) for arena, each in drawings.items()}}


def _tell_planted(drawing: Drawing) -> dict[str, Any]:
    return {
        "campaigns": drawing.total["campaigns"],
        "better_verdicts": drawing.total[Verdict.BETTER],
        "better_verdicts_right": drawing.total["right"],
        "right_share": find_share(drawing, "right", Verdict.BETTER),
        "sizeable": drawing.total["sizeable"],
        "found": drawing.total["sizeable found"],
        "found_share": find_share(drawing, "sizeable found", "sizeable"),
    }


def _tell_winner(drawing: Drawing, world: World) -> dict[str, Any]:
    total = drawing.total
    variance = _divide(total, "variance", "variances")
    sd = None if variance is None else math.sqrt(variance)
    return _tell_planted(drawing) | {
        "gain": find_share(drawing, "gain", "winners"),
        "sd": sd,
        "sd_of_arena": world.sd,
        "detectable": world.detectable,
        "a_finalist": find_share(drawing, "winner a finalist", "campaigns"),
        "found_at_all": find_share(drawing, "winner found", "campaigns"),
        "power": [_tell_power(drawing, gain, sd) for gain in GAINS],
    }


def _tell_power(drawing: Drawing, gain: float, sd: float | None) -> dict[str, Any]:
    return {
        "gain": gain,
        "found": find_share(drawing, ("found", gain), ("asked", gain)),
        "of_finalists": find_share(drawing, ("found", gain), ("chosen", gain)),
        "in_theory": sd and find_power(gain, sd=sd, draws=CONFIRM_DRAWS, finalists=FINALISTS),
    }


def describe_theory() -> list[dict[str, Any]]:
    return [
        {"sd": sd, "gain": gain, "power": find_power(gain, sd=sd, draws=CONFIRM_DRAWS, finalists=FINALISTS)}
        for sd in TYPICAL_SDS
        for gain in GAINS
    ]


def describe_null(arenas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    verdicts = [each["verdict"] for told in arenas.values() for each in told["losses"].values()]
    return {
        "draws": LIBRARY_DRAWS,
        "compared": len(verdicts),
        "better": verdicts.count(Verdict.BETTER.value),
        "worse": verdicts.count(Verdict.WORSE.value),
        "arenas": dict(arenas),
    }


def compare_library(bank: Bank, arena: str) -> dict[str, Any]:
    """Each loss at its best against DPO at each of its settings, at a level for as many losses as there are."""
    places = CONFIRM[:LIBRARY_DRAWS]
    reference = {}
    for setting in bank.get_tuned(arena, DPO).finalists:
        values = find_values(bank, arena, DPO, setting, places)
        if values is None:
            raise ValueError(f"DPO failed in {arena}, with which everything is compared, at {setting.document()}.")
        reference[setting] = values
    found = {loss: find_library(bank, arena, loss) for loss in LIBRARY if loss != DPO}
    losses = {}
    for loss, own in found.items():
        if own is not None:
            gains = {setting: find_differences(own, values) for setting, values in reference.items()}
            match = compare_with_all(gains, len(found))
            told = {"verdict": match.verdict.value, "level": match.counting.level, "at": match.hardest.document()}
            losses[loss] = asdict(match.counting.interval) | told
    return {"losses": losses, "failed": [loss for loss, own in found.items() if own is None]}


def describe_coverage(*kinds: Mapping[str, Drawing]) -> dict[str, Any]:
    """How many intervals hold the truth, by what they are intervals of, of campaigns of all kinds."""
    arenas = {arena: add_up(each[arena] for each in kinds if arena in each) for arena in dict.fromkeys(chain(*kinds))}
    told = _tell_coverage(add_up(arenas.values()))
    return told | {"arenas": {arena: _tell_coverage(each) for arena, each in arenas.items()}}


_STAGES = {"screened": "", "frozen": ", finalists"}


def _tell_coverage(drawing: Drawing) -> dict[str, Any]:
    return {
        "intervals": drawing.total["intervals"],
        **find_share(drawing, "hold alone", "intervals"),
        "level": LEVEL,
        "at_the_chosen_setting": find_share(drawing, "hold at the chosen setting", "intervals") | {"level": LEVEL},
        "as_shown": find_share(drawing, "hold", "intervals") | {"level": _divide(drawing.total, "level", "intervals")},
        "all_of_a_campaign": find_share(drawing, "all hold", "campaigns with intervals") | {"level": LEVEL},
        "screen": {
            kind + told: find_share(drawing, (f"{stage} holds", kind), (stage, kind))
            | {"level": LEVEL, "intervals": drawing.total[stage, kind]}
            for kind in (COPIES, LOSSES)
            for stage, told in _STAGES.items()
        },
    }


def find_targets(figures: Mapping[str, Any]) -> list[Target]:
    """A figure of some of the arenas alone meets no target."""
    placebo = _take_whole(figures["placebo"], MAIN)
    planted = _take_whole(figures["planted"], WITH_WINNER)
    null = _take_whole(figures["null"], CONTROLS)
    coverage = figures["coverage"] if placebo and planted else {}
    together = _take(coverage, "all_of_a_campaign")
    return [
        Target("placebo campaigns with a discovery", placebo.get("share"), 0.05, True),
        Target("and verdicts 'better' in a placebo campaign", _take(placebo, "verdicts_a_campaign"), 0.05, True),
        Target("verdicts 'better' that are right", _take(planted, "right_share"), 0.95, False),
        Target("sizeable planted gains that are found", _take(planted, "found_share"), 0.8, False),
        Target("losses better than DPO in the controls", null.get("better"), 0, True),
        Target("coverage of intervals of 95 %", coverage.get("share"), 0.93, False),
        Target("and no more", coverage.get("share"), 0.97, True),
        Target("campaigns of which all intervals hold", together, 0.93, False),
    ]


def _take_whole(told: Mapping[str, Any], arenas: Collection[str]) -> Mapping[str, Any]:
    return told if told["arenas"].keys() == set(arenas) else {}


def _take(told: Mapping[str, Any], name: str) -> float | None:
    share: float | None = told.get(name, {}).get("share")
    return share

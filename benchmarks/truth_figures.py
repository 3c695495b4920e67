"""From what was counted in re-drawn campaigns to what is told: shares with intervals, targets, tables."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.bank_file import Bank
from benchmarks.bank_plan import CONTROLS, LIBRARY, LIBRARY_DRAWS
from benchmarks.bank_worlds import find_library
from benchmarks.redrawn import CONFIRM_DRAWS, FINALISTS, World
from benchmarks.throughput_figures import Target
from benchmarks.truth_campaigns import GAINS, Counts, Drawing, add_up
from discovery_service.domain.confirming import compare
from discovery_service.domain.differences import find_differences
from discovery_service.domain.known_losses import REFERENCE_LOSS
from discovery_service.domain.power import find_detectable, find_power
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
    told = _tell_placebo(add_up(drawings.values())) if drawings else {}
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
    told = _tell_planted(add_up(drawings.values())) if drawings else {}
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
        "sd_of_arena": world.spread.sd,
        "degrees_of_arena": world.spread.degrees,
        "detectable": find_detectable(sd=world.spread.sd, draws=CONFIRM_DRAWS, finalists=FINALISTS),
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
    """All of it against DPO, each at its best, at a level for as many losses as there are."""
    reference = find_library(bank, arena, REFERENCE_LOSS)
    if reference is None:
        raise ValueError(f"DPO failed in {arena}, with which everything is compared.")
    found = {loss: find_library(bank, arena, loss) for loss in LIBRARY if loss != REFERENCE_LOSS}
    losses = {}
    for loss, own in found.items():
        if own is not None:
            comparison = compare(find_differences(own, reference), len(found))
            losses[loss] = {**asdict(comparison.interval), "verdict": comparison.verdict.value}
    return {"losses": losses, "failed": [loss for loss, own in found.items() if own is None]}


def describe_coverage(drawings: Iterable[Drawing]) -> dict[str, Any]:
    known = list(drawings)
    if not known:
        return {}
    drawing = add_up(known)
    return {
        "intervals": drawing.total["intervals"],
        **find_share(drawing, "covered alone", "intervals"),
        "at_their_own_level": find_share(drawing, "covered", "intervals"),
    }


def find_targets(figures: Mapping[str, Any]) -> list[Target]:
    placebo, planted, null = figures["placebo"], figures["planted"], figures["null"]
    coverage = figures["coverage"].get("share")
    is_null_known = len(null["arenas"]) == len(CONTROLS)
    return [
        Target("placebo campaigns with a discovery", placebo.get("share"), 0.05, True),
        Target("and verdicts 'better' in a placebo campaign", _take(placebo, "verdicts_a_campaign"), 0.05, True),
        Target("verdicts 'better' that are right", _take(planted, "right_share"), 0.95, False),
        Target("sizeable planted gains that are found", _take(planted, "found_share"), 0.8, False),
        Target("losses better than DPO in the controls", null["better"] if is_null_known else None, 0, True),
        Target("coverage of intervals of 95 %", coverage, 0.93, False),
        Target("and no more", coverage, 0.97, True),
    ]


def _take(told: Mapping[str, Any], name: str) -> float | None:
    share: float | None = told.get(name, {}).get("share")
    return share


def tabulate(figures: Mapping[str, Any]) -> str:
    parts: tuple[Callable[[Mapping[str, Any]], list[str]], ...] = (
        _tabulate_placebo,
        _tabulate_planted,
        _tabulate_power,
        _tabulate_null,
        _tabulate_coverage,
    )
    lines = [line for part in parts for line in part(figures)]
    lines += ["targets", *tabulate_targets(figures["targets"])]
    lines += [f"left out: {arena}, {reason}" for arena, reason in figures["left_out"].items()]
    return "\n".join(lines)


def _tabulate_placebo(figures: Mapping[str, Any]) -> list[str]:
    told = figures["placebo"]
    rows = {**told["arenas"], "all": told} if told["arenas"] else {}
    names, keys = ("verdicts a campaign", "with a worse"), ("verdicts_a_campaign", "worse")
    lines = [f"{'placebo':16}{'campaigns':>10}" + "".join(f"{name:>28}" for name in ("with a discovery", *names))]
    for arena, each in rows.items():
        shares = (each, *(each[key] for key in keys))
        lines.append(f"  {arena:14}{each['campaigns']:>10}" + "".join(f"{_percent(share):>28}" for share in shares))
    return lines


def _tabulate_planted(figures: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{'planted':16}{'gain':>22}{'sd':>7}{'detectable':>12}{'better':>8}{'of them right':>24}"
        f"{'winner found':>24}{'where sizeable':>24}"
    ]
    for arena, each in figures["planted"]["arenas"].items():
        sd = "" if each["sd"] is None else f"{each['sd']:.3f}"
        shares = (each["right_share"], each["found_at_all"], each["found_share"])
        lines.append(
            f"  {arena:14}{_number(each['gain']):>22}{sd:>7}{each['detectable']:>12.3f}{each['better_verdicts']:>8}"
            + "".join(f"{_percent(share):>24}" for share in shares)
        )
    if figures["planted"]["arenas"]:
        told = figures["planted"]
        right, found = _percent(told["right_share"]), _percent(told["found_share"])
        lines.append(f"  {'all':55}{told['better_verdicts']:>8}{right:>24}{'':24}{found:>24}")
    return lines


def _tabulate_power(figures: Mapping[str, Any]) -> list[str]:
    arenas = figures["planted"]["arenas"]
    lines = [
        f"{'power':8}"
        + "".join(f"{arena:>24}{'theory':>8}" for arena in arenas)
        + "".join(f"{f'theory, sd {sd:g}':>18}" for sd in TYPICAL_SDS)
    ]
    for place, gain in enumerate(GAINS):
        told = [each["power"][place] for each in arenas.values()]
        theory = [each["power"] for each in figures["theory"] if each["gain"] == gain]
        lines.append(
            f"  {gain:<6g}"
            + "".join(f"{_percent(each['found']):>24}{each['in_theory'] or 0:>8.0%}" for each in told)
            + "".join(f"{each:>18.0%}" for each in theory)
        )
    return lines


def _tabulate_null(figures: Mapping[str, Any]) -> list[str]:
    null = figures["null"]
    lines = [f"the library against DPO in the controls, {null['draws']} draws: {null['compared']} comparisons"]
    for arena, told in null["arenas"].items():
        for verdict in (Verdict.BETTER, Verdict.WORSE):
            names = [
                f"{loss} {each['mean']:+.3f} [{each['low']:+.3f}, {each['high']:+.3f}]"
                for loss, each in told["losses"].items()
                if each["verdict"] == verdict.value
            ]
            lines.append(f"  {arena:14}{verdict.value} DPO: {len(names)}" + "".join(f"\n    {name}" for name in names))
        if told["failed"]:
            lines.append(f"  {arena:14}failed: {', '.join(told['failed'])}")
    return lines


def _tabulate_coverage(figures: Mapping[str, Any]) -> list[str]:
    told = figures["coverage"]
    if not told:
        return []
    own = _percent(told["at_their_own_level"])
    return [f"coverage of {told['intervals']} intervals of 95 %: {_percent(told)}; at their own level, 98.3 %: {own}"]


def tabulate_targets(targets: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for each in targets:
        figure = "" if each["figure"] is None else f"{each['figure']:.3g}"
        bound = f"{'at most' if each['is_lower'] else 'at least'} {each['bound']:g}"
        verdict = "misses its target" if each["verdict"] == "missed" else each["verdict"]
        lines.append(f"  {each['name']:46}{figure:>8}   {bound:14} {verdict}")
    return lines


def _percent(share: Mapping[str, Any]) -> str:
    if share["share"] is None:
        return "-"
    return f"{share['share']:.1%} [{share['low']:.1%}, {share['high']:.1%}]"


def _number(share: Mapping[str, Any]) -> str:
    return "-" if share["share"] is None else f"{share['share']:+.3f} [{share['low']:+.3f}, {share['high']:+.3f}]"

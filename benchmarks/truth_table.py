"""The table of what is told of re-drawn campaigns, and that of targets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.truth_campaigns import GAINS
from benchmarks.truth_figures import TYPICAL_SDS
from discovery_service.domain.verdicts import Verdict


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
    arenas = {**told["arenas"], "all": told} if told["arenas"] else {}
    title = f"coverage of {told['intervals']} intervals"
    lines = [f"{title:46}{'nominal':>8}" + "".join(f"{arena:>24}" for arena in arenas)]
    rows = {name: [_list_coverage(each)[name] for each in arenas.values()] for name in _list_coverage(told)}
    for name, shares in rows.items():
        levels = {f"{each['level']:.1%}" for each in shares if each["level"] is not None}
        lines.append(f"  {name:44}{'/'.join(sorted(levels)):>8}" + "".join(f"{_percent(each):>24}" for each in shares))
    return lines


def _list_coverage(told: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        "at DPO's harder setting, for one finalist": told,
        "at its chosen setting, for one finalist": told["at_the_chosen_setting"],
        "as shown, for as many as there are": told["as_shown"],
        "campaigns of which all shown hold": told["all_of_a_campaign"],
    } | {f"of the screen, {kind}": each for kind, each in told["screen"].items()}


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

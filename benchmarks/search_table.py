"""The tables of what is told of searches."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.truth_table import tabulate_targets

Figures = Mapping[str, Any]


def tabulate(figures: Figures) -> str:
    lines = [
        *_tabulate_strategies(figures["strategies"]),
        *_tabulate_contrasts(figures["contrasts"]),
        *_tabulate_outcomes(figures["outcomes"]),
        *_tabulate_by_hand(figures["by_hand"]),
        *_tabulate_slots(figures["slots"]),
        "targets",
        *tabulate_targets(figures["targets"]),
    ]
    return "\n".join(lines)


def _tabulate_strategies(groups: Sequence[Figures]) -> list[str]:
    if not groups:
        return ["strategies: no campaign yet"]
    names = ("pick less DPO, J", "regret, J", "with a discovery", "refused", "duplicates", "evaluations")
    shares = ("slots idle", "slots lost")
    lines = [
        f"{'strategies':36}{'campaigns':>10}"
        + "".join(f"{name:>26}" for name in names)
        + "".join(f"{name:>24}" for name in shares)
    ]
    for each in groups:
        cells = (
            _signed(each["difference"]),
            _signed(each["regret"]),
            _percent(each["discoveries"]),
            _percent(each["refused"]),
            _percent(each["duplicates"]),
            _number(each["evaluations"]),
        )
        lines.append(
            f"  {each['arena']:22}{each['strategy']:12}{each['campaigns']:>10}"
            + "".join(f"{cell:>26}" for cell in cells)
            + "".join(f"{_percent(each[name]):>24}" for name in ("idle_share", "lost_share"))
        )
    return lines


def _tabulate_contrasts(contrasts: Sequence[Figures]) -> list[str]:
    lines = [f"{'evolve less another, J, by seed':36}{'pairs':>10}{'difference of picks':>26}"] if contrasts else []
    for each in contrasts:
        lines.append(f"  {each['arena']:22}{each['other']:12}{each['draws']:>10}{_signed(each):>26}")
    return lines


def _tabulate_outcomes(outcomes: Figures) -> list[str]:
    lines = (
        [f"{'outcomes':14}{'seed':>6}  {'verdict':30}{'pick less DPO, J':>26}  pick"] if outcomes["campaigns"] else []
    )
    for each in outcomes["campaigns"]:
        pick = each["pick"]
        verdict = "confirmed" if each["confirmed"] else "no confirmed discovery"
        told = "" if pick is None else _signed({**pick, "mean": pick["difference"]}, "lower", "upper")
        name = "no finalist" if pick is None else f"{pick['name']}: {pick['thought']}"
        lines.append(f"  {each['arena']:12}{each['seed']:>6}  {verdict:30}{told:>26}  {name}")
    for arena, each in outcomes["arenas"].items():
        lines.append(f"  {arena}: {each['discoveries']} of {each['campaigns']} with a discovery, {_percent(each)}")
    return lines


def _tabulate_by_hand(finalists: Sequence[Figures]) -> list[str]:
    """A finalist's interval is at the level for as many as there were beside it."""
    if not finalists:
        return []
    lines = [f"{'given':22}{'seed':>6}  {'finalist':14}{'verdict':24}{'less DPO, J':>26}{'the bank says':>24}  holds"]
    for each in finalists:
        shown = None if each.get("lower") is None else {**each, "mean": each["difference"]}
        truth = each["truth"]
        bank = "-" if truth is None else f"{truth['gain']:+.3f}, error {truth['error']:.3f}"
        holds = "-" if each["holds"] is None else "yes" if each["holds"] else "no"
        lines.append(
            f"  {each['part']:8}{each['arena']:12}{each['seed']:>6}  {each['name']:14}{each.get('verdict', 'none'):24}"
            f"{_signed(shown, 'lower', 'upper'):>26}{bank:>24}  {holds}"
        )
    return lines


def _tabulate_slots(campaigns: Sequence[Figures]) -> list[str]:
    lines = []
    for each in campaigns:
        time = each["slot_time"]
        told = "its times say nothing: it was begun by an earlier run"
        if time is not None:
            told = (
                f"{each['trainings']} trainings in {each['wall_s']:.0f} s; until its last round was opened, slots idle"
                f" {time['idle_share']:.1%}, of it lost {time['lost_share']:.1%}"
            )
        lines.append(f"  {each['arena']} {each['seed']}, 30 candidates on two slots: {told}")
    return ["slots", *lines] if lines else []


def _signed(told: Figures | None, low: str = "low", high: str = "high") -> str:
    if told is None:
        return "-"
    if told[low] is None:
        return f"{told['mean']:+.3f} [one alone]"
    return f"{told['mean']:+.3f} [{told[low]:+.3f}, {told[high]:+.3f}]"


def _number(told: Figures) -> str:
    return (
        f"{told['mean']:.0f}" if told["low"] is None else f"{told['mean']:.0f} [{told['low']:.0f}, {told['high']:.0f}]"
    )


def _percent(told: Figures | None) -> str:
    if told is None:
        return "-"
    share = told["share"] if "share" in told else told["mean"]
    return f"{share:.1%}" if told["low"] is None else f"{share:.1%} [{told['low']:.1%}, {told['high']:.1%}]"

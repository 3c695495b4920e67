"""From decisions that were made again and again to what is told of them: costs, ratios, targets, a table."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.throughput_figures import Target
from benchmarks.truth_figures import find_quantiles
from benchmarks.truth_table import tabulate_targets


@dataclass(frozen=True)
class Repeated:
    """Of decisions on draws from one bank."""

    decisions: int
    right: float
    """How often screen, then confirm, picks right."""
    exhaustive: Sequence[float]
    """How often the exhaustive run does, with one draw of every setting, with two, and so on."""
    regret: float
    tau: float
    tau_of_screened: float
    seconds: float
    """Of screen, then confirm."""
    trainings: float
    exhaustive_s: float
    """Of one draw of every setting."""
    ways: int
    peer_s: float | None
    """Of one evaluation; None where TRL is not installed."""

    @property
    def equal_draws(self) -> int:
        """At which the exhaustive run is right as often; the most there are where it never is."""
        return next((draws for draws, right in enumerate(self.exhaustive, start=1) if self._is_equal(right)), self.most)

    @property
    def is_reached(self) -> bool:
        return any(map(self._is_equal, self.exhaustive))

    def _is_equal(self, right: float) -> bool:
        """As (c) is, or less often by no more than the standard error of their difference.

        Without that one decision of thousands would take the exhaustive run from three draws to twelve.
        """
        return self.right - right <= math.hypot(self._find_error(self.right), self._find_error(right))

    def _find_error(self, share: float) -> float:
        """Of a share of all decisions; Laplace's, or one of 100 % would have none."""
        smoothed = (share * self.decisions + 1) / (self.decisions + 2)
        return math.sqrt(smoothed * (1 - smoothed) / self.decisions)

    @property
    def ratio_vs_exhaustive(self) -> float:
        return self.equal_draws * self.exhaustive_s / self.seconds

    @property
    def ratio_vs_peer(self) -> float:
        return math.nan if self.peer_s is None else self.equal_draws * self.ways * self.peer_s / self.seconds

    @property
    def most(self) -> int:
        return len(self.exhaustive)


_TOLD: dict[str, Callable[[Repeated], float]] = {
    "ratio_vs_peer": lambda each: each.ratio_vs_peer,
    "ratio_vs_exhaustive": lambda each: each.ratio_vs_exhaustive,
    "regret": lambda each: each.regret,
    "tau": lambda each: each.tau,
    "tau_of_screened": lambda each: each.tau_of_screened,
    "right": lambda each: each.right,
    "equal_draws": lambda each: each.equal_draws,
}


def describe(
    whole: Repeated, banks: Sequence[Repeated], *, noise_sd: float, losses: int, peers: Sequence[float]
) -> dict[str, Any]:
    """Each number with the interval that the bank's draws leave, of the same in banks drawn from it."""
    names = [name for name in _TOLD if name != "ratio_vs_peer" or whole.peer_s is not None]
    found: dict[str, Any] = {name: _TOLD[name](whole) for name in names}
    intervals = {name: find_quantiles(sorted(_TOLD[name](each) for each in banks)) for name in names}
    most = whole.most
    figures = {
        "ratio_vs_peer": None,
        **found,
        "intervals": intervals,
        "is_reached": whole.is_reached,
        "share_of_banks_reached": sum(each.is_reached for each in banks) / len(banks),
        "noise_sd": noise_sd,
        "losses": losses,
        "exhaustive_right": [
            {
                "draws": draws + 1,
                "right": right,
                "interval": find_quantiles(sorted(each.exhaustive[draws] for each in banks)),
            }
            for draws, right in enumerate(whole.exhaustive)
        ],
        "core_seconds": {
            "peer": None if whole.peer_s is None else whole.equal_draws * whole.ways * whole.peer_s,
            "exhaustive": whole.equal_draws * whole.exhaustive_s,
            "screen_then_confirm": whole.seconds,
        },
        "peer": {"processes": len(peers), "seconds": whole.peer_s, "is_extrapolated": True},
        "at_all_draws": {
            "draws": most,
            "trainings": most * whole.ways,
            "trainings_screen_then_confirm": whole.trainings,
            "ratio_of_trainings": most * whole.ways / whole.trainings,
            "ratio_vs_exhaustive": most * whole.exhaustive_s / whole.seconds,
            "ratio_vs_peer": None if whole.peer_s is None else most * whole.ways * whole.peer_s / whole.seconds,
        },
    }
    return figures | {"targets": [each.document() for each in _find_targets(figures)]}


def _find_targets(figures: Mapping[str, Any]) -> list[Target]:
    return [
        Target("(a) peers, times (c)", figures["ratio_vs_peer"], 15, False),
        Target("(b) exhaustive, times (c)", figures["ratio_vs_exhaustive"], 5, False),
        Target("regret, in A/A standard deviations", figures["regret"] / figures["noise_sd"], 1, True),
    ]


def tabulate(figures: Mapping[str, Any]) -> str:
    seconds, at_all = figures["core_seconds"], figures["at_all_draws"]
    draws = figures["equal_draws"]
    peer, least = figures["peer"], "" if figures["is_reached"] else "at least "
    equal = "each way is right as often" if figures["is_reached"] else "(b) is right less often than (c)"
    lines = [f"{figures['losses']} losses; core-seconds a decision where {equal}, on {draws} draws"]
    if seconds["peer"] is None:
        lines.append("  (a) TRL, a process an evaluation       not measured")
    else:
        told = f"extrapolated from {peer['processes']} processes of {peer['seconds']:.2f} s"
        lines.append(f"  (a) TRL, a process an evaluation  {seconds['peer']:>10.0f}   {told}")
    lines += [
        f"  (b) exhaustive on this runtime    {seconds['exhaustive']:>10.0f}",
        f"  (c) screen, then confirm          {seconds['screen_then_confirm']:>10.0f}"
        f"   {at_all['trainings_screen_then_confirm']:.0f} trainings",
        f"  right: (c) {_tell(figures, 'right', '.1%')}; (b) by draws "
        + ", ".join(f"{each['draws']}: {each['right']:.0%}" for each in figures["exhaustive_right"]),
        f"  regret of (c) {_tell(figures, 'regret', '.3f')}, A/A standard deviation {figures['noise_sd']:.3f}",
        f"  tau of the screen with the truth {_tell(figures, 'tau', '.2f')},"
        f" of what was screened {_tell(figures, 'tau_of_screened', '.2f')}",
        f"  (a) / (c) {least}{_tell(figures, 'ratio_vs_peer', '.1f')},"
        f" (b) / (c) {least}{_tell(figures, 'ratio_vs_exhaustive', '.1f')},"
        f" draws of (a) and (b) {least}{_tell(figures, 'equal_draws', '.0f')}",
        *_tell_unreached(figures),
        f"  with {at_all['draws']} draws for (a) and (b), however often they are right: {at_all['trainings']} trainings"
        f" to {at_all['trainings_screen_then_confirm']:.0f}, {at_all['ratio_of_trainings']:.1f} times as many;"
        f" core-seconds (b) / (c) {at_all['ratio_vs_exhaustive']:.1f}"
        + ("" if at_all["ratio_vs_peer"] is None else f", (a) / (c) {at_all['ratio_vs_peer']:.1f}"),
        "targets",
    ]
    return "\n".join([*lines, *tabulate_targets(figures["targets"])])


def _tell_unreached(figures: Mapping[str, Any]) -> list[str]:
    most, share = figures["at_all_draws"]["draws"], figures["share_of_banks_reached"]
    lines = []
    if not figures["is_reached"]:
        lines.append(f"  on {most} draws (a) and (b) are still not right as often as (c): it would take more")
    if share < 1:
        lines.append(f"  in {1 - share:.0%} of the banks drawn for the intervals {most} draws do not suffice for that")
    return lines


def _tell(figures: Mapping[str, Any], name: str, form: str) -> str:
    if figures[name] is None:
        return "not measured"
    low, high = figures["intervals"][name]
    return f"{figures[name]:{form}} [{low:{form}}, {high:{form}}]"

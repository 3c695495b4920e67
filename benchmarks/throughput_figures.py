"""From what was timed to what is told: rates, ratios, shares, J of both ways, and which targets are met."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Row = tuple[Mapping[str, Any], Mapping[str, Any]]
"""A key and what was found under it."""
HERE, TRL, TRL_PRECOMPUTE = "runtime", "trl", "trl, precompute"
WAYS = (TRL_PRECOMPUTE, HERE, TRL)
GIB = float(1 << 30)


@dataclass(frozen=True)
class Target:
    name: str
    figure: float | None
    """None where it was not measured."""
    bound: float
    is_lower: bool
    """Whether less is better."""

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "not measured"
        return "met" if (self.figure <= self.bound if self.is_lower else self.figure >= self.bound) else "missed"

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}


def describe(rows: Sequence[Row]) -> dict[str, Any]:
    """Everything that the benchmark tells. The ratios and targets are those of size base where that was measured."""
    sizes = {size: _describe_size(rows, size) for size in sorted({key["size"] for key, _ in rows if "size" in key})}
    told = next((size for size in ("base", *sizes) if size in sizes), None)
    memory = next((found for key, found in rows if key["what"] == "memory"), None)
    return {
        "ratios": sizes[told]["ratios"] if told else {},
        "ratios_at": told,
        "sizes": sizes,
        "memory": memory,
        "targets": [each.document() for each in _find_targets(sizes, told, memory)],
    }


def _find_targets(sizes: Mapping[str, Any], told: str | None, memory: Mapping[str, Any] | None) -> list[Target]:
    main = sizes.get(told or "", {})
    ratios, j = main.get("ratios", {}), main.get("j", {}).get(TRL_PRECOMPUTE)
    mini = sizes.get("mini", {}).get("ways", {}).get(HERE)
    return [
        Target("evaluations per core-hour, times TRL's", ratios.get("evaluations_per_core_hour"), 2.3, False),
        Target("difference of J, in standard errors", j and j["standard_errors"], 2.0, True),
        Target("time of an optimiser step, times TRL's", ratios.get("step_time"), 0.65, True),
        Target("two slots, times one", ratios.get("two_slots"), 1.8, False),
        Target("share in steps and sampling", main.get("share", {}).get("steps_and_sampling"), 0.9, False),
        Target("an evaluation at mini, s of a core", mini and mini["cpu_s"], 1.5, True),
        Target("a runtime with all arenas warm, GB", memory and memory["rss_bytes"] / 1e9, 1.5, True),
    ]


def _describe_size(rows: Sequence[Row], size: str) -> dict[str, Any]:
    of_size = [(key, found) for key, found in rows if key.get("size") == size]
    ways = {way: _describe_way(_list_of(of_size, way)) for way in WAYS if _list_of(of_size, way)}
    profile = next((found for key, found in of_size if key["what"] == "profile"), None)
    here, against = ways.get(HERE), ways.get(TRL_PRECOMPUTE)
    slots = _describe_slots(found | {"slots": key["slots"]} for key, found in of_size if key["what"] == "slots")
    ratios: dict[str, float | None] = {"evaluations_per_core_hour": None, "step_time": None, "cpu_time": None}
    if here and against:
        ratios["evaluations_per_core_hour"] = here["evaluations_per_core_hour"] / against["evaluations_per_core_hour"]
        ratios["step_time"] = here["step_ms"] / against["step_ms"]
        # What a busy machine disturbs least.
        ratios["cpu_time"] = here["cpu_s"] / against["cpu_s"]
    described = {"ways": ways, "ratios": ratios | {"two_slots": slots}}
    described["j"] = {way: told for way in (TRL_PRECOMPUTE, TRL) if (told := _compare_j(of_size, way))}
    if here and profile:
        described["share"] = _find_share(here, profile)
        described["flop_per_s"] = {
            "step": profile["flop_per_step"] / here["step_ms"] * 1e3,
            "peak": profile["peak_flop_per_s"],
        }
    return described


def _list_of(rows: Sequence[Row], way: str) -> list[Row]:
    return [(key, found) for key, found in rows if key["what"] == "evaluation" and key["way"] == way]


def _describe_way(rows: Sequence[Row]) -> dict[str, Any]:
    wall_s = statistics.median(found["wall_s"] for _, found in rows)
    step_s = statistics.median(found["step_s"] for _, found in rows)
    stages = rows[0][1]["seconds"]
    return {
        "evaluations": len(rows),
        "wall_s": wall_s,
        "cpu_s": statistics.median(found["cpu_s"] for _, found in rows),
        "evaluations_per_core_hour": 3600 / wall_s,
        "step_ms": step_s * 1e3,
        "seconds": {stage: statistics.median(found["seconds"][stage] for _, found in rows) for stage in stages},
        "j": statistics.fmean(found["metrics"]["J"] for _, found in rows),
    }


def _describe_slots(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """How many times as many evaluations two make in the same time."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for row in rows:
        rates[row["slots"]].append(row["evaluations"] / row["wall_s"])
    return statistics.median(rates[2]) / statistics.median(rates[1]) if all(rates.values()) else None


def _compare_j(rows: Sequence[Row], way: str) -> dict[str, Any] | None:
    """This runtime's less the other's, over draws: on one draw all losses share the order of the pairs, which is chance
    in both."""
    here, there = (
        {(key["draw"], key["loss"]): found["metrics"]["J"] for key, found in _list_of(rows, each)}
        for each in (HERE, way)
    )
    by_draw: dict[str, list[float]] = {}
    by_loss: dict[str, list[float]] = {}
    for draw, loss in sorted(here.keys() & there.keys()):
        difference = here[draw, loss] - there[draw, loss]
        by_draw.setdefault(draw, []).append(difference)
        by_loss.setdefault(loss, []).append(difference)
    if len(by_draw) < 2:
        return None
    # Side by side as well, for two losses that differ in opposite directions would make up for each other.
    losses = {loss: _describe_differences(each) for loss, each in by_loss.items() if len(each) > 1}
    return _describe_differences([statistics.fmean(each) for each in by_draw.values()]) | {"losses": losses}


def _describe_differences(differences: Sequence[float]) -> dict[str, Any]:
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    return {
        "draws": len(differences),
        "mean": mean,
        "se": error,
        "standard_errors": abs(mean) / error if error else None,
    }


def _find_share(here: Mapping[str, Any], profile: Mapping[str, Any]) -> dict[str, float]:
    """Of an evaluation's wall time. What is left is opening, scoring what was sampled, and talking about it."""
    steps = here["seconds"]["training"] / here["wall_s"]
    measuring = here["seconds"]["measuring"] / here["wall_s"]
    sampling = measuring * min(1.0, profile["sampling_s"] / profile["measuring_s"])
    return {
        "steps": steps,
        "sampling": sampling,
        "steps_and_sampling": steps + sampling,
        "scoring": measuring - sampling,
        "rest": 1 - steps - measuring,
    }


def tabulate(figures: Mapping[str, Any]) -> str:
    lines = []
    for size, told in figures["sizes"].items():
        lines += [
            f"{size}",
            f"  {'':18}{'n':>4}{'wall s':>9}{'cpu s':>9}{'per core-h':>12}{'step ms':>9}{'J':>8}   seconds",
        ]
        for way, each in told["ways"].items():
            seconds = ", ".join(f"{stage} {value:.2f}" for stage, value in each["seconds"].items())
            lines.append(
                f"  {way:18}{each['evaluations']:>4}{each['wall_s']:>9.2f}{each['cpu_s']:>9.2f}"
                f"{each['evaluations_per_core_hour']:>12.0f}{each['step_ms']:>9.2f}{each['j']:>8.3f}   {seconds}"
            )
        lines += [f"  {line}" for line in _tabulate_rest(told)]
    lines.append(f"targets, at {figures['ratios_at']} unless told otherwise")
    for each in figures["targets"]:
        figure = "" if each["figure"] is None else f"{each['figure']:.2f}"
        bound = f"{'at most' if each['is_lower'] else 'at least'} {each['bound']:g}"
        lines.append(f"  {each['name']:42}{figure:>8}   {bound:14} {each['verdict']}")
    return "\n".join(lines)


def _tabulate_rest(told: Mapping[str, Any]) -> list[str]:
    lines = [f"{name.replace('_', ' ')}: {value:.2f}" for name, value in told["ratios"].items() if value is not None]
    for way, each in told["j"].items():
        lines.append(
            f"J less that of {way}: {each['mean']:+.4f} with a standard error of {each['se']:.4f},"
            f" on {each['draws']} draws; by loss "
            + ", ".join(f"{loss} {told['mean']:+.4f} ({told['se']:.4f})" for loss, told in each["losses"].items())
        )
    if "share" in told:
        lines.append("of an evaluation: " + ", ".join(f"{name} {share:.1%}" for name, share in told["share"].items()))
        flop = told["flop_per_s"]
        lines.append(
            f"{flop['step'] / 1e9:.1f} GFLOP/s in a step, {flop['peak'] / 1e9:.1f} in a product of large matrices:"
            f" {flop['step'] / flop['peak']:.0%}"
        )
    return lines

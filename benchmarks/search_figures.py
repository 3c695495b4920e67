"""From outcomes of campaigns to what is told of strategies: means over seeds with intervals, and paired contrasts.

Campaigns of one arena share tune and screen draws, and all base policies; intervals are of what other seeds would give.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, variance
from typing import Any

from benchmarks.planted import PLANTED
from benchmarks.search_plan import Case, Part
from benchmarks.throughput_figures import Target
from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.intervals import Interval, bound, find_interval, find_share_interval
from discovery_service.domain.verdicts import Verdict

Outcome = Mapping[str, Any]
Found = Mapping[Case, Outcome]
Gain = Mapping[str, float]
Gains = Mapping[tuple[str, str], Gain]
"""By arena and loss what it truly gains on DPO, as far as the bank knows, and the standard error of that."""
MAIN = StrategyName.EVOLVE
"""With which the others are contrasted."""


def describe(found: Found, gains: Gains) -> dict[str, Any]:
    winners = {arena: gain for (arena, loss), gain in gains.items() if loss == PLANTED}
    figures = {
        "slots": [_tell_slots(case, each) for case, each in _select(found, Part.SLOTS).items()],
        "outcomes": _describe_outcomes(_select(found, Part.OUTCOMES)),
        "by_hand": _describe_by_hand(found, gains),
        "strategies": _describe_strategies(_select(found, Part.STRATEGIES), winners),
        "contrasts": _describe_contrasts(_select(found, Part.STRATEGIES)),
        "winners": {arena: dict(each) for arena, each in winners.items()},
    }
    return figures | {"targets": [each.document() for each in find_targets(figures)]}


def _select(found: Found, part: Part) -> dict[Case, Outcome]:
    return {case: each for case, each in found.items() if case.part is part}


def find_difference(outcome: Outcome) -> float:
    """To DPO, of the final pick. A campaign without a finalist leaves DPO itself."""
    return float(outcome["pick"]["difference"]) if outcome["pick"] else 0.0


def is_discovery(outcome: Outcome) -> bool:
    """Whether any finalist was confirmed to be better than DPO."""
    return any(each.get("verdict") == Verdict.BETTER.value for each in outcome["finalists"])


def find_share(parts: int, whole: int) -> dict[str, float | int]:
    """With Wilson's interval of 95 %."""
    found = find_share_interval(parts, whole)
    return {"share": found.mean, "low": found.low, "high": found.high, "of": whole}


def _tell_slots(case: Case, outcome: Outcome) -> dict[str, Any]:
    told = {name: outcome[name] for name in ("slot_time", "wall_s", "trainings", "evaluations", "reason")}
    return {"arena": case.arena, "seed": case.seed, **told}


def _describe_outcomes(found: Found) -> dict[str, Any]:
    """All of them, and by arena how many found something."""
    arenas: dict[str, list[Outcome]] = defaultdict(list)
    for case, each in found.items():
        arenas[case.arena].append(each)
    return {
        "campaigns": [
            {"arena": case.arena, "seed": case.seed, "confirmed": is_discovery(each), "pick": each["pick"]}
            for case, each in sorted(found.items(), key=lambda pair: (pair[0].arena, pair[0].seed))
        ],
        "arenas": {
            arena: {
                "campaigns": len(each),
                "discoveries": sum(map(is_discovery, each)),
                **find_share(sum(map(is_discovery, each)), len(each)),
            }
            for arena, each in sorted(arenas.items())
        },
    }


def _describe_by_hand(found: Found, gains: Gains) -> list[dict[str, Any]]:
    """Each finalist of a campaign whose candidates were given, beside what the bank says of it."""
    return [
        {"part": case.part.value, "arena": case.arena, "seed": case.seed, **each, **_tell_truth(case, each, gains)}
        for case, outcome in found.items()
        if case.given
        for each in outcome["finalists"]
    ]


def _tell_truth(case: Case, finalist: Mapping[str, Any], gains: Gains) -> dict[str, Any]:
    """None where nobody knows. A copy of DPO gains nothing at most: at the setting to which its own pairs tuned it, it
    may be truly worse than DPO at the harder of its two.
    """
    is_copy = case.part is Part.PLACEBO
    gain = {"gain": 0.0, "error": 0.0} if is_copy else gains.get((case.arena, finalist["name"]))
    if gain is None or finalist.get("lower") is None:
        return {"truth": gain, "holds": None}
    if is_copy:
        return {"truth": gain, "holds": finalist["lower"] <= 0}
    return {"truth": dict(gain), "holds": finalist["lower"] <= gain["gain"] <= finalist["upper"]}


def _describe_strategies(found: Found, winners: Mapping[str, Gain]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, StrategyName], list[Outcome]] = defaultdict(list)
    for case, each in found.items():
        groups[case.arena, case.strategy].append(each)
    return [
        {"arena": arena, "strategy": strategy.value, **_tell_group(outcomes, winners.get(arena))}
        for (arena, strategy), outcomes in groups.items()
    ]


def _tell_group(outcomes: Sequence[Outcome], winner: Gain | None) -> dict[str, Any]:
    difference = find_interval([find_difference(each) for each in outcomes])
    times = [each["slot_time"] for each in outcomes if each["slot_time"] is not None]
    return {
        "campaigns": len(outcomes),
        "difference": asdict(difference),
        "regret": None if winner is None else asdict(find_regret(difference, winner)),
        "discoveries": find_share(sum(map(is_discovery, outcomes)), len(outcomes)),
        "refused": _find_mean(outcomes, lambda each: _divide(sum(each["refused"].values()), each["answers"])),
        "duplicates": _find_mean(outcomes, lambda each: _divide(each["duplicates"], each["answers"])),
        "lost": _find_mean(outcomes, lambda each: 1 - _divide(each["accepted"], each["made"])),
        "codes": dict(sum((Counter(each["proposals"]["refused"]) for each in outcomes), Counter())),
        "evaluations": asdict(find_interval([each["evaluations"] for each in outcomes])),
        "idle_share": _find_interval_of(each["idle_share"] for each in times),
        "lost_share": _find_interval_of(each["lost_share"] for each in times),
    }


def _find_mean(outcomes: Iterable[Outcome], find: Callable[[Mapping[str, Any]], float]) -> dict[str, Any] | None:
    return _find_interval_of(find(each["proposals"]) for each in outcomes)


def _find_interval_of(values: Iterable[float]) -> dict[str, Any] | None:
    """None of nothing."""
    known = list(values)
    return asdict(find_interval(known)) if known else None


def _divide(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def find_regret(difference: Interval, winner: Gain) -> Interval:
    """What the planted winner gains on DPO more than the picks do; the errors of both are in the interval."""
    if difference.low is None:
        return Interval(winner["gain"] - difference.mean, None, None, difference.draws)
    own = bound(0.0, 1.0, difference.draws - 1, draws=difference.draws)
    assert own.high is not None
    error = math.hypot((difference.mean - difference.low) / own.high, winner["error"])
    return bound(winner["gain"] - difference.mean, error, difference.draws - 1, draws=difference.draws)


def _describe_contrasts(found: Found) -> list[dict[str, Any]]:
    """What evolve's picks gain more than another strategy's with the same seed, in each arena and over all of them."""
    told = []
    for other in StrategyName:
        if other is MAIN:
            continue
        arenas = {arena: values for arena in _list_arenas(found) if (values := _pair(found, arena, other))}
        told += [
            {"arena": arena, "other": other.value, **asdict(find_interval(values))} for arena, values in arenas.items()
        ]
        if len(arenas) > 1:
            told.append({"arena": "all", "other": other.value, **asdict(average(list(arenas.values())))})
    return told


def _list_arenas(found: Found) -> list[str]:
    return list(dict.fromkeys(case.arena for case in found))


def _pair(found: Found, arena: str, other: StrategyName) -> list[float]:
    """Of the seeds of which there are both."""
    ours, theirs = (
        {case.seed: find_difference(each) for case, each in found.items() if (case.arena, case.strategy) == (arena, by)}
        for by in (MAIN, other)
    )
    return [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]


def average(groups: Sequence[Sequence[float]]) -> Interval:
    """Over arenas, each with the same weight: these arenas are given, and seeds are not."""
    known = [each for each in groups if len(each) > 1]
    draws, mean = sum(map(len, groups)), fmean(map(fmean, groups))
    if len(known) < len(groups):
        return Interval(mean, None, None, draws)
    error = math.sqrt(sum(variance(each) / len(each) for each in known)) / len(known)
    return bound(mean, error, sum(len(each) - 1 for each in known), draws=draws)


def find_targets(figures: Mapping[str, Any]) -> list[Target]:
    """A figure of fewer campaigns than were asked for meets no target."""
    arenas = figures["outcomes"]["arenas"]
    whole = {arena: each["discoveries"] for arena, each in arenas.items() if each["campaigns"] >= 10}
    times = [each["slot_time"] for each in figures["slots"] if each["slot_time"] is not None]
    idle = max((each["idle_share"] for each in times), default=None)
    return [
        Target("discoveries in ten campaigns on plain", whole.get("plain:mini"), 1, True),
        Target("discoveries in ten campaigns on terse", whole.get("terse:mini"), 7, False),
        Target("device idle share with 30 candidates", idle, 0.05, True),
    ]

"""What feedback was worth to the searches that are kept, as it ships with the package."""

import json
from dataclasses import asdict

from benchmarks.kept import Kept
from benchmarks.search_figures import MAIN, find_difference
from benchmarks.search_plan import CANDIDATES, COMPARED_ARENAS, SEEDS, Case, Part, list_cases
from discovery_service.domain.campaign import StrategyName
from workers.reproduce.discopop.stored import Search, feedback_path

_DIGITS = 6


def describe_feedback(kept: Kept) -> Search:
    """Of all campaigns that compare strategies, whichever of them were asked for."""
    cases = [case for case in list_cases() if case.part is Part.STRATEGIES]
    gains = {arena: _list_gains(kept, arena) for arena in COMPARED_ARENAS}
    return Search(
        proposals=CANDIDATES[Part.STRATEGIES],
        campaigns=sum(kept.find(case.key) is not None for case in cases),
        of=len(cases),
        gains={arena: found for arena, found in gains.items() if found},
    )


def _list_gains(kept: Kept, arena: str) -> list[float]:
    found = []
    for seed in range(1, SEEDS + 1):
        picks = [kept.find(Case(Part.STRATEGIES, arena, each, seed).key) for each in (MAIN, StrategyName.BLIND)]
        known = [find_difference(each) for each in picks if each is not None]
        if len(known) == len(picks):
            found.append(round(known[0] - known[1], _DIGITS))
    return found


def ship(found: Search) -> None:
    feedback_path().write_text(json.dumps(asdict(found), indent=1, sort_keys=True) + "\n", encoding="utf-8")

"""What losses truly gain on DPO, by which searches and verdicts are judged: from the shipped bank, or measured.

Tuned by the arena's plan and trained on fresh draws under three base policies, DPO at each setting between which its
tuning chose; the gain is that on the harder of them, as a confirmation shows it.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.bank import Bench, NotMeasured, tune
from benchmarks.bank_file import Bank, Cell, NotInBank, Tuned, read_bank
from benchmarks.bank_plan import CONFIRM, DPO, PROPOSED, has_winner
from benchmarks.kept import Kept
from benchmarks.planted import PLANTED
from discovery_service.domain.confirming import compare_with_all
from discovery_service.domain.differences import Occasion, find_differences, find_whole
from discovery_service.domain.measuring import Setting

Gain = dict[str, float]


def find_gains(arenas: Iterable[str], kept: Path, *, measures: bool) -> dict[tuple[str, str], Gain]:
    """Of each arena's planted winner, and of what else the bank has; by arena and loss.

    A winner in an arena that is not in the bank takes 110 trainings, which are kept in the file.
    """
    bank, bench = read_bank(), Bench(Kept(kept), measures=measures)
    found = {}
    for arena in arenas:
        for loss in (PLANTED, *PROPOSED) if has_winner(arena) else PROPOSED:
            gain = _find_in_bank(bank, arena, loss)
            if gain is None and loss == PLANTED:
                gain = _find_measured(bench, arena)
            if gain is not None:
                found[arena, loss] = gain
    return found


def _find_in_bank(bank: Bank, arena: str, loss: str) -> Gain | None:
    try:
        tuned = (bank.get_tuned(arena, each) for each in (loss, DPO))
        return find_gain(arena, loss, lambda cell: bank.get(cell).j, *tuned)
    except NotInBank:
        return None


def _find_measured(bench: Bench, arena: str) -> Gain | None:
    try:
        return find_gain(arena, PLANTED, bench.get, *(tune(bench, arena, each) for each in (PLANTED, DPO)))
    except NotMeasured:
        return None


def find_gain(
    arena: str, loss: str, get: Callable[[Cell], float | None], tuned: Tuned, reference: Tuned
) -> Gain | None:
    """None where either failed on a draw."""

    def measure(which: str, setting: Setting) -> dict[Occasion, float] | None:
        return find_whole(
            {Occasion(policy, draw.key): get(Cell(arena, which, setting, policy, draw)) for policy, draw in CONFIRM}
        )

    own = None if tuned.chosen is None else measure(loss, tuned.chosen)
    others = find_whole({setting: measure(DPO, setting) for setting in reference.finalists})
    if own is None or others is None:
        return None
    match = compare_with_all({setting: find_differences(own, each) for setting, each in others.items()}, 1)
    return {"gain": match.counting.interval.mean, "error": match.counting.sd / math.sqrt(len(CONFIRM))}

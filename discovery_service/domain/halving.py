"""Which candidates of a round stop before they cost the whole tuning plan."""

import math
from collections.abc import Collection, Mapping

LIBRARY_ROUND = 0


def find_stopping(
    first_bests: Mapping[int, float | None], *, round_index: int, known: Collection[int] = ()
) -> frozenset[int]:
    """The slots of the worse half, rounded down, by each candidate's best value on the first tune draw.

    None is of a candidate of which every training failed. Those that are `known`, twins of losses of the library, stop
    before others, for they are no finalists whatever they come to. Of equally good ones the later slot stops. The
    library, which every other round is compared with, is never halved.
    """
    if not all(value is None or math.isfinite(value) for value in first_bests.values()):
        raise ValueError("a best value has to be a finite number, or None where every training failed")
    if round_index == LIBRARY_ROUND:
        return frozenset()

    def badness(slot: int) -> tuple[bool, float, int]:
        value = first_bests[slot]
        return slot in known, math.inf if value is None else -value, slot

    ranked = sorted(first_bests, key=badness)
    return frozenset(ranked[len(ranked) - len(ranked) // 2 :])

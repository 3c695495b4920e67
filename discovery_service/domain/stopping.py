"""When a search has found enough, or nothing better for long enough: looked at only where rounds have closed."""

from collections.abc import Mapping

from discovery_service.domain.archive import Archive
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Budgets
from discovery_service.domain.halving import LIBRARY_ROUND


def find_stop(budgets: Budgets, archive: Archive) -> str | None:
    """Why nobody proposes any more, in a sentence; None while the search goes on."""
    bests = find_bests(archive)
    best = max(bests.values(), default=None)
    if budgets.target is not None and best is not None and best >= budgets.target:
        return f"The target is reached: a screened lower bound of {best:.4g}, where {budgets.target:.4g} was wanted."
    without = count_without_progress(bests, [each for each in sorted(archive.rounds) if each != LIBRARY_ROUND])
    if budgets.patience is not None and without >= budgets.patience:
        return f"Patience has ended: {without} closed rounds in a row without a better lower bound."
    return None


def find_bests(archive: Archive) -> dict[int, float]:
    """By round, the highest lower bound of what was proposed and is no twin of a known loss."""
    bests: dict[int, float] = {}
    for each in archive.members:
        if each.author is not Author.LIBRARY and each.twin is None and each.lower is not None:
            bests[each.place.round] = max(bests.get(each.place.round, each.lower), each.lower)
    return bests


def count_without_progress(bests: Mapping[int, float], rounds: list[int]) -> int:
    best, without = None, 0
    for number in rounds:
        found = bests.get(number)
        if found is not None and (best is None or found > best):
            best, without = found, 0
        else:
            without += 1
    return without

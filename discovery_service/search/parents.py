"""Who becomes a parent: by sigmoid of the robustly scaled lower bound, and the less the more children it has.

A lower bound is what a loss is known to be worth; a mean would let the luckiest draws breed.
"""

import math
from collections.abc import Sequence
from random import Random
from statistics import median

from discovery_service.domain.archive import Archive, Member
from discovery_service.domain.authors import Author

_TO_SD = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""


def choose_parents(archive: Archive, count: int, chance: Random) -> list[Member]:
    """Different ones; fewer where there are not so many."""
    weighed = weigh_parents(archive)
    chosen: list[Member] = []
    while weighed and len(chosen) < count:
        [place] = chance.choices(range(len(weighed)), [weight for _, weight in weighed])
        chosen.append(weighed.pop(place)[0])
    return chosen


def weigh_parents(archive: Archive) -> list[tuple[Member, float]]:
    """Whoever may be a parent with its weight, in the order of their places.

    Where nobody but the reference has a lower bound nothing is known, and everybody that was not stopped is as good as
    another; where all were stopped, everybody is.
    """
    members = list_distinct(archive)
    lowers = {each.place: find_lower(each) for each in members if not each.is_stopped}
    known = {place: lower for place, lower in lowers.items() if lower is not None}
    if any(not archive.by_place[place].is_reference for place in known):
        scaled = dict(zip(known, _scale(list(known.values())), strict=True))
        weights = {place: _sigmoid(each) for place, each in scaled.items()}
    else:
        weights = dict.fromkeys(lowers or (each.place for each in members), 1.0)
    return [
        (each, weights[each.place] / (1 + archive.children[each.place])) for each in members if each.place in weights
    ]


def list_distinct(archive: Archive) -> list[Member]:
    """Without whoever behaves like a known loss that stands before it: one of the two is enough."""
    distinct: list[Member] = []
    for each in sorted(archive.members, key=lambda member: member.place):
        known = {other.name for other in distinct if other.author is Author.LIBRARY}
        if each.twin is None or each.twin not in known:
            distinct.append(each)
    return distinct


def find_lower(member: Member) -> float | None:
    """Of the reference 0: its difference to itself is not measured."""
    return 0.0 if member.is_reference else member.lower


def _scale(values: Sequence[float]) -> list[float]:
    """In robust standard deviations from the median; where more than half are the same, in mean deviations."""
    middle = median(values)
    distances = [abs(each - middle) for each in values]
    spread = _TO_SD * median(distances) or sum(distances) / len(distances) or 1.0
    return [(each - middle) / spread for each in values]


def _sigmoid(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))

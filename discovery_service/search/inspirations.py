"""What is shown beside the parents: the best ones, and ones that are unlike all that is shown already.

Unlike is by what a graph is made of: the share of inputs and operations that two losses do not have in common. Of a few
that are drawn at random comes in the one whose nearest neighbour among the chosen is farthest, so that it is not the
same oddity each time. One that was stopped is known to be bad, which is worth knowing too, so it may be among those.
"""

from random import Random

from discovery_service.domain.archive import Archive, Member
from discovery_service.search.parents import list_distinct

BEST = 2
DIVERSE = 2
_DRAWN = 4
"""From so many the farthest is chosen."""


def choose_inspirations(archive: Archive, parents: list[Member], chance: Random) -> list[Member]:
    """The best first. None of them is a parent."""
    places = {each.place for each in parents}
    others = [each for each in list_distinct(archive) if each.place not in places]
    known = [(lower, each) for each in others if (lower := each.lower) is not None and not each.is_stopped]
    chosen = [each for _, each in sorted(known, key=lambda pair: (-pair[0], pair[1].place))[:BEST]]
    taken = {each.place for each in chosen}
    left = [each for each in others if each.place not in taken]
    while left and len(chosen) < BEST + DIVERSE:
        drawn = chance.sample(left, min(_DRAWN, len(left)))
        farthest = max(drawn, key=lambda each: (_find_distance(each, [*parents, *chosen]), each.place))
        chosen.append(farthest)
        left.remove(farthest)
    return chosen


def _find_distance(member: Member, shown: list[Member]) -> float:
    traits = _list_traits(member)
    return min((_compare(traits, _list_traits(each)) for each in shown), default=1.0)


def _compare(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard's distance."""
    return 1 - len(one & other) / len(one | other) if one | other else 0.0


def _list_traits(member: Member) -> frozenset[str]:
    graph = member.graph
    return frozenset([*graph["inputs"], *(node["op"] for node in graph["nodes"])])

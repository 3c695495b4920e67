"""The one entrance to the strategies: what is asked of whoever proposes in a slot, and what it may see.

`evolve` chooses parents by what was measured, `blind` does the same without any measurement, `discopop` goes on from
the latest loss with all others before it, and `best_of_n`, the control, proposes again and again from the library.
"""

from random import Random

from discovery_service.domain.archive import Archive
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Strategy, StrategyName
from discovery_service.domain.chance import draw_chance
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.requests import Kind, Request
from discovery_service.domain.shares import deal, find_turn
from discovery_service.search.inspirations import choose_inspirations
from discovery_service.search.parents import choose_parents

KIND_SHARES = {Kind.FRESH: 1, Kind.IMPROVE: 2, Kind.COMBINE: 1}
"""A quarter fresh; of the rest every third combines two."""


def show(name: StrategyName, archive: Archive) -> Archive:
    """What of the archive a proposal of this strategy may be made from, prompt and all."""
    match name:
        case StrategyName.BLIND:
            return archive.without_measurements()
        case StrategyName.BEST_OF_N:
            known = tuple(each for each in archive.members if each.author is Author.LIBRARY)
            return Archive(tuple(each for each in archive.rounds if each == LIBRARY_ROUND), known)
    return archive


def ask(strategy: Strategy, archive: Archive, *, seed: int, round_index: int, slot: int) -> Request:
    """The same for the same campaign seed, round, slot and archive, in whatever order its rows came."""
    shown = show(strategy.name, archive)
    match strategy.name:
        case StrategyName.BEST_OF_N:
            return Request(Kind.FRESH)
        case StrategyName.DISCOPOP:
            return _go_on(shown)
    shares = list(KIND_SHARES)
    turn = find_turn(seed, round_index, slot, round_size=strategy.round_size, what="kinds of request")
    wanted = shares[deal(list(KIND_SHARES.values()), turn + 1)[turn]]
    return _evolve(shown, wanted, draw_chance(seed, round_index, slot, "request"))


def _evolve(archive: Archive, wanted: Kind, chance: Random) -> Request:
    count = {Kind.FRESH: 0, Kind.IMPROVE: 1, Kind.COMBINE: 2}[wanted]
    parents = choose_parents(archive, count, chance)
    # A small archive may have fewer than were wanted.
    kind = (Kind.FRESH, Kind.IMPROVE, Kind.COMBINE)[len(parents)]
    inspirations = choose_inspirations(archive, parents, chance)
    return Request(kind, tuple(each.place for each in parents), tuple(each.place for each in inspirations))


def _go_on(archive: Archive) -> Request:
    """One growing chat: the latest loss is what the next one answers to, and all before it have been said."""
    said = sorted((each for each in archive.members if each.author is not Author.LIBRARY), key=lambda each: each.place)
    if not said:
        return Request(Kind.FRESH)
    *before, latest = said
    return Request(Kind.IMPROVE, (latest.place,), tuple(each.place for each in before))

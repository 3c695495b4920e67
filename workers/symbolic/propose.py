"""The entrance: from a request and the archive to a loss with a name, a thought and a source.

Everything is drawn from (campaign seed, round, slot). What is drawn is drawn again where it is in the archive already,
where its source would not pass the static check, or where it grew too large.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from discovery_service.domain.archive import Archive, Member
from discovery_service.domain.authors import Author
from discovery_service.domain.chance import draw_chance
from discovery_service.domain.families import Family
from discovery_service.domain.requests import Kind, Request
from discovery_service.losses.canonical import hash_graph
from discovery_service.losses.graph import read_graph
from discovery_service.losses.printer import print_graph
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import check_source
from workers.symbolic.combining import join
from workers.symbolic.expression import Tree, read_tree, write_graph
from workers.symbolic.logit_moves import bound, flip, offset, temper, unbalance
from workers.symbolic.loss_moves import anchor, blend_links, smooth, weigh
from workers.symbolic.part_moves import change_link, change_number, leave_out, relate_to_length
from workers.symbolic.sites import Draft
from workers.symbolic.starting import start_fresh

Move = Callable[[Draft, Random], Draft | None]

MOVES: tuple[tuple[Move, float], ...] = (
    (offset, 6.0),
    (weigh, 4.0),
    (change_number, 3.0),
    (temper, 1.5),
    (flip, 1.5),
    (change_link, 1.5),
    (leave_out, 1.0),
    (blend_links, 1.0),
    (smooth, 0.7),
    (anchor, 1.0),
    (relate_to_length, 1.0),
    (bound, 0.7),
    (unbalance, 0.7),
)
"""How often each is tried. Frozen before any arena was looked at: what is known of a row comes in most often, since no
setting can do what it does."""
_STEPS = (0.65, 0.3, 0.05)
"""One move mostly, three rarely: a parent's worth is lost in large steps."""
_ATTEMPTS = 200
_LARGE = 24
"""Operations from which on something is left out four times as often."""
_LARGEST = 48
_LONGEST_NAME = 48


@dataclass(frozen=True)
class Proposed:
    name: str
    thought: str
    source: str


class NothingNew(Exception):
    """Whatever was drawn was in the archive, or was refused."""


def propose(
    request: Request, archive: Archive, family: Family, *, seed: int, round_index: int, slot: int, turn: int = 0
) -> Proposed:
    """Another `turn` draws anew, where the gate refused what was drawn before.

    Raises NothingNew where the moves lead nowhere; an archive of that kind is yet to be seen.
    """
    chance = draw_chance(seed, round_index, slot, f"symbolic, turn {turn}" if turn else "symbolic")
    known = {hash_graph(read_graph(each.graph)) for each in archive.members}
    parents = [archive.by_place[place] for place in request.parents]
    library = sorted((each for each in archive.members if each.author is Author.LIBRARY), key=lambda each: each.place)
    for attempt in range(_ATTEMPTS):
        # Parents may have nothing that can be changed, or nothing that has not been.
        kind = request.kind if attempt < _ATTEMPTS // 2 else Kind.FRESH
        begun = _begin(kind, parents, library, family, chance)
        draft = None if begun is None else _move_on(begun, chance)
        if begun is None or draft is None or not _is_sound(draft, begun.draft):
            continue
        graph = write_graph(draft.root, family)
        if len(graph.nodes) > max(_LARGEST, begun.size) or hash_graph(graph) in known:
            continue
        name = _name(draft, begun.origins, f"{round_index}_{slot}")
        thought = _tell(draft, begun.origins)
        source = print_graph(graph, name=name, said=thought)
        if _passes(source, family):
            return Proposed(name, thought, source)
    raise NothingNew(
        f"In {_ATTEMPTS} attempts the symbolic proposer drew nothing that is not in the archive: give its share to"
        " another proposer, or a larger library to start from."
    )


def write_reply(proposed: Proposed) -> str:
    """In the form of a model's, so that it goes the same way."""
    return json.dumps({"thought": proposed.thought, "name": proposed.name, "code": proposed.source})


@dataclass(frozen=True)
class _Begun:
    draft: Draft
    origins: tuple[str, ...]
    size: int
    """Operations of the larger parent."""
    steps: int
    """Moves to come."""


def _begin(
    kind: Kind, parents: Sequence[Member], library: Sequence[Member], family: Family, chance: Random
) -> _Begun | None:
    """None where what was drawn does not fit the parents."""
    match kind:
        case Kind.FRESH if library and chance.random() < 0.5:
            return _go_on_from([chance.choice(library)], family, chance.choice((1, 2, 2, 3)))
        case Kind.FRESH:
            # The plain forms are known losses where there are any.
            steps = chance.choice((1, 1, 2) if library else (0, 1, 1, 2, 2, 3))
            return _Begun(start_fresh(family, chance), (), 0, steps)
        case Kind.COMBINE:
            one, other = chance.sample(parents, 2)
            begun = _go_on_from([one, other], family, int(chance.random() < 0.3))
            joined = join(begun.draft, Draft(family, _read(other)), chance)
            return None if joined is None else replace(begun, draft=joined)
    [steps] = chance.choices(range(1, len(_STEPS) + 1), _STEPS)
    return _go_on_from(parents, family, steps)


def _go_on_from(parents: Sequence[Member], family: Family, steps: int) -> _Begun:
    sizes = [len(each.graph["nodes"]) for each in parents]
    return _Begun(Draft(family, _read(parents[0])), tuple(_clean(each.name) for each in parents), max(sizes), steps)


def _read(member: Member) -> Tree:
    return read_tree(read_graph(member.graph))


def _move_on(begun: _Begun, chance: Random) -> Draft | None:
    draft = begun.draft
    for _ in range(begun.steps):
        weights = [4 * weight if move is leave_out and begun.size > _LARGE else weight for move, weight in MOVES]
        [move] = chance.choices([each for each, _ in MOVES], weights)
        moved = move(draft, chance)
        if moved is None:
            return None
        draft = moved
    return draft


def _is_sound(draft: Draft, begun: Draft) -> bool:
    """Something moves, and it is one number a row unless it was none before."""
    return draft.is_by_row or (not begun.is_by_row and draft.inference.is_moving(draft.root))


def _passes(source: str, family: Family) -> bool:
    try:
        check_source(source, family)
    except Refused:
        return False
    return True


def _name(draft: Draft, origins: Sequence[str], place: str) -> str:
    """The first parent's, and what was done; of a long line of parents the beginning and the end. The place makes it
    the only one of its campaign."""
    words = "_".join((*origins[:1], *draft.words)).split("_")
    while len("_".join(words)) > _LONGEST_NAME and len(words) > 2:
        del words[1]
    return f"{'_'.join(words)[:_LONGEST_NAME]}_{place}"


def _clean(name: str) -> str:
    """Of a parent, fit for a name and a docstring, without its place."""
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"_\d+_\d+$", "", name.lower())).strip("_")
    return words if words[:1].isalpha() else f"loss_{words}".strip("_")


def _tell(draft: Draft, origins: Sequence[str]) -> str:
    match origins:
        case []:
            source = "the inputs alone"
        case [one]:
            source = one
        case [one, *others]:
            source = f"{one} and {', '.join(others)}"
    return f"From {source}: {', then '.join(draft.said)}."

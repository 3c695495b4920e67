"""Arenas stay warm under a budget, and what was used longest ago goes first."""

from typing import Any, cast

from tests.runtime.toy import HELD_BYTES, Toy, document
from workers.runtime.warm import WarmArenas


class Opened:
    """Counts how often an arena had to be opened."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, document: Any) -> Any:
        self.names.append(document["name"])
        return Toy(document, cast(Any, None))


def use(arenas: WarmArenas, name: str, *draws: int) -> None:
    """As a job does, without the training."""
    toy = cast(Toy, arenas.take(document(name=name)))
    for draw in draws:
        toy._opened[(draw,)] = None
    arenas.shrink()


def test_an_arena_is_opened_once_while_it_fits() -> None:
    opened = Opened()
    arenas = WarmArenas(opened, 4 * HELD_BYTES)
    for name in ("a", "b", "a"):
        use(arenas, name, 0, 1)
    assert opened.names == ["a", "b"]
    assert arenas.held_bytes() == 4 * HELD_BYTES


def test_above_the_budget_the_one_that_was_used_longest_ago_lets_go_first() -> None:
    opened = Opened()
    arenas = WarmArenas(opened, 4 * HELD_BYTES)
    use(arenas, "a", 0, 1)
    use(arenas, "b", 0, 1)
    use(arenas, "a", 0)
    use(arenas, "c", 0)
    assert arenas.held_bytes() == 4 * HELD_BYTES
    use(arenas, "a", 0)
    assert opened.names == ["a", "b", "c"]
    use(arenas, "c", 0, 1, 2)
    use(arenas, "b", 0)
    # All of b was gone, and half of a.
    assert opened.names == ["a", "b", "c", "b"]
    assert arenas.held_bytes() == 4 * HELD_BYTES


def test_an_arena_that_alone_is_too_large_keeps_what_fits() -> None:
    arenas = WarmArenas(Opened(), 2 * HELD_BYTES)
    use(arenas, "a", 0, 1, 2, 3, 4)
    assert arenas.held_bytes() == 2 * HELD_BYTES


def test_a_dropped_arena_is_opened_anew() -> None:
    opened = Opened()
    arenas = WarmArenas(opened, 4 * HELD_BYTES)
    use(arenas, "a", 0)
    arenas.drop(document(name="a"))
    assert arenas.held_bytes() == 0
    use(arenas, "a", 0)
    assert opened.names == ["a", "a"]

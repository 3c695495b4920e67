"""Keeps arenas warm from job to job, and lets go of what was used longest ago once they hold more than they may."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from discovery_service.domain.arenas import hash_document
from workers.arenas.arena import Arena

OpenArena = Callable[[Mapping[str, Any]], Arena]


class WarmArenas:
    """By content. What the job that runs adds comes on top of the budget; between jobs it holds."""

    def __init__(self, open_arena: OpenArena, budget_bytes: int) -> None:
        self._open_arena = open_arena
        self._budget_bytes = budget_bytes
        self._arenas: OrderedDict[str, Arena] = OrderedDict()

    def take(self, document: Mapping[str, Any]) -> Arena:
        """The document's arena, opened unless it is warm."""
        key = hash_document(document)
        if key not in self._arenas:
            self._arenas[key] = self._open_arena(document)
        self._arenas.move_to_end(key)
        return self._arenas[key]

    def drop(self, document: Mapping[str, Any]) -> None:
        """Forget an arena whole, as after an error that nobody understands."""
        self._arenas.pop(hash_document(document), None)

    def shrink(self) -> None:
        """Back to the budget, at the expense of the arenas that were used longest ago."""
        for key, arena in list(self._arenas.items()):
            excess = self.held_bytes() - self._budget_bytes
            if excess <= 0:
                return
            arena.forget(excess)
            if not arena.held_bytes():
                del self._arenas[key]

    def held_bytes(self) -> int:
        return sum(arena.held_bytes() for arena in self._arenas.values())

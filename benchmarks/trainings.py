"""Trainings of built-in arenas in this very process, their figures kept in a file; of sources that are our own."""

from pathlib import Path
from typing import Any

import torch

from benchmarks.kept import Kept
from benchmarks.planted import compile_trusted, find_source
from discovery_service.domain.arenas import find_document, hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import TRAINER, Draw, Setting
from discovery_service.settings import get_settings
from workers.arenas.arena import Arena, Task
from workers.arenas.machine import describe_machine
from workers.arenas.opening import open_arena
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train

MAX_OPEN = 3
"""Arenas, each with its base policies and what it has of pairs."""


class OpenArenas:
    """One torch thread; an arena that was used stays open for the next training."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._arenas: dict[str, Arena] = {}

    def open(self, name: str, base_policy: int, draw: Draw) -> Task:
        if name not in self._arenas:
            if len(self._arenas) >= MAX_OPEN:
                self._arenas.clear()
            self._arenas[name] = open_arena(get_document(name), torch.device("cpu"), get_settings().arena_cache)
        return self._arenas[name].open(base_policy, draw)


class Trainings:
    """What is in the file is not trained again."""

    def __init__(self, kept: Path) -> None:
        self._kept = Kept(kept)
        self._arenas = OpenArenas()

    def find(self, name: str, base_policy: int, loss: str, setting: Setting, draw: Draw) -> dict[str, Any]:
        """What was measured of a loss of the library, of a variant, or of the arena's planted winner."""
        document = get_document(name)
        graph = compile_trusted(find_source(name, loss))
        key = {
            "arena": hash_document(document),
            "base_policy": base_policy,
            "loss": graph.document(),
            "setting": setting.document(),
            "draw": draw.document(),
            "build": describe_build(),
        }

        def measure() -> dict[str, Any]:
            task = self._arenas.open(name, base_policy, draw)
            train(task, Program(graph), Family.PAIRWISE, setting, Optimisation.of(document["recipe"]))
            return task.measure()

        return self._kept.get(key, measure)


def get_document(name: str) -> dict[str, Any]:
    document = find_document(name)
    if document is None:
        raise SystemExit(f"There is no built-in arena {name}.")
    return document


def describe_build() -> dict[str, Any]:
    return {**describe_machine(), "trainer": TRAINER}

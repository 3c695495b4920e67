"""Trainings of built-in arenas in this very process, their figures kept in a file; of sources that are our own."""

from pathlib import Path
from typing import Any

import torch

from benchmarks.kept import Kept
from benchmarks.planted import PLANTED, compile_trusted, library_source, planted_source
from discovery_service.domain.arenas import find_document, hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import TRAINER, Draw, Setting
from discovery_service.settings import get_settings
from workers.arenas import open_arena
from workers.arenas.arena import Arena
from workers.arenas.machine import describe_machine
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train


class Trainings:
    """What is in the file is not trained again."""

    def __init__(self, kept: Path) -> None:
        torch.set_num_threads(1)
        self._kept = Kept(kept)
        self._arenas: dict[str, Arena] = {}

    def find(self, name: str, base_policy: int, loss: str, setting: Setting, draw: Draw) -> dict[str, Any]:
        """What was measured of a loss of the library, or of the arena's planted winner."""
        document = find_document(name)
        assert document is not None
        source = planted_source(name.partition(":")[0]) if loss == PLANTED else library_source(loss)
        graph = compile_trusted(source)
        key = {
            "arena": hash_document(document),
            "base_policy": base_policy,
            "loss": graph.document(),
            "setting": setting.document(),
            "draw": draw.document(),
            "build": {**describe_machine(), "trainer": TRAINER},
        }

        def measure() -> dict[str, Any]:
            if name not in self._arenas:
                self._arenas[name] = open_arena(document, torch.device("cpu"), get_settings().arena_cache)
            task = self._arenas[name].open(base_policy, draw)
            optimisation = Optimisation.of(document["recipe"])
            train(task, Program(graph), Family.PAIRWISE, setting, optimisation)
            return task.measure()

        return self._kept.get(key, measure)

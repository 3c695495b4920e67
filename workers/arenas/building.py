"""Makes what trainings begin with before anybody trains: base policies, pairs, what the reference says of them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from workers.arenas.opening import open_arena
from workers.runtime.repeatable import repeatable
from workers.slots import ENVIRONMENT


@dataclass(frozen=True)
class Artefact:
    document: Mapping[str, Any]
    base_policy: int
    draw: Draw

    def describe(self) -> dict[str, Any]:
        return {"arena": self.document["name"], "base_policy": self.base_policy, "draw": self.draw.document()}


def plan(document: Mapping[str, Any], base_policies: Sequence[int], purpose: Purpose, draws: int) -> list[Artefact]:
    keys = [Draw(purpose, str(number)) for number in range(draws)]
    return [Artefact(document, *each) for each in product(base_policies, keys)]


def compute_as_a_runtime(device: str) -> torch.device:
    """From now on in this process, or what is built would not be what a runtime looks for."""
    torch.set_num_threads(1)
    # For cuBLAS, which reads it when a card is first used; a runtime's is in its environment.
    os.putenv("CUBLAS_WORKSPACE_CONFIG", ENVIRONMENT["CUBLAS_WORKSPACE_CONFIG"])
    return torch.device(device)


def build(artefacts: Sequence[Artefact], device: torch.device, cache_dir: Path) -> Iterator[Artefact]:
    """Each as soon as it is in the cache, whether it was made now or stood there."""
    opened = None
    with repeatable():
        for artefact in artefacts:
            if opened is None or opened[0] is not artefact.document:
                opened = artefact.document, open_arena(artefact.document, device, cache_dir)
            opened[1].open(artefact.base_policy, artefact.draw)
            yield artefact

"""From an arena's document to the arena itself: which kind of world builds it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from discovery_service.domain.arenas import BUILDERS, VERSION, ArenaKind
from workers.arenas.arena import Arena
from workers.arenas.cache import Cache
from workers.arenas.hf.arena import HfArena
from workers.arenas.synthetic import SyntheticArena


class UnknownArena(Exception):
    """The document is of a kind or version that this worker does not know."""


def open_arena(document: Mapping[str, Any], device: torch.device, cache_dir: Path) -> Arena:
    """Nothing is built yet. Raises UnknownArena, and ValueError, KeyError or TypeError for a document that is none."""
    _check(document)
    cache = Cache(cache_dir)
    match document["kind"]:
        case ArenaKind.SYNTHETIC:
            return SyntheticArena(document, device, cache)
        case _:
            return HfArena(document, device, cache)


def _check(document: Mapping[str, Any]) -> None:
    for name, known in (("version", VERSION), ("builders", _find_builders(document))):
        if document.get(name) != known:
            raise UnknownArena(
                f"Of the arena's document {name} is {document.get(name)} and this worker knows {known}: let all"
                " machines run the same version of the service, and register an arena of your own anew after that."
            )


def _find_builders(document: Mapping[str, Any]) -> Mapping[str, int]:
    kind, family = document.get("kind"), document.get("family")
    for each, by_family in BUILDERS.items():
        for known, builders in by_family.items():
            if (each, known) == (kind, family):
                return builders
    raise UnknownArena(
        f"There is no arena of the kind {kind!r} and the family {family!r}: let all machines run the same version."
    )

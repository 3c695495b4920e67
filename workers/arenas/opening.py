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
    _check("document is", document.get("version"), VERSION)
    cache = Cache(cache_dir)
    match document.get("kind"):
        case ArenaKind.SYNTHETIC:
            _check("builders are", document.get("builders"), BUILDERS)
            return SyntheticArena(document, device, cache)
        case ArenaKind.HF:
            return HfArena(document, device, cache)
    raise UnknownArena(f"There is no kind of arena {document.get('kind')!r}: let all machines run the same version.")


def _check(what: str, given: object, known: object) -> None:
    if given != known:
        raise UnknownArena(
            f"The arena's {what} of version {given} and this worker knows {known}: let all machines run the same"
            " version of the service."
        )

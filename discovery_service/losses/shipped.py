"""The settings of known losses that an arena's calibration found, as far as tuning would find the same today."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.measuring import TRAINER, Setting
from discovery_service.domain.tuning_plans import find_plan
from discovery_service.losses.described import list_described

Document = Mapping[str, Any]


def list_shipped(document: Document, calibration: Document | None) -> dict[str, tuple[Setting, ...]]:
    """By loss, those that reached the last stage of its tuning, the chosen one first.

    None of a loss of which every training failed, nor of anything that was measured under other conditions.
    """
    library = (calibration or {}).get("library")
    if library is None or not is_current(document, library):
        return {}
    known = list_published(library, Family(document["family"]))
    found = {name: tuple(Setting(**each) for each in library["losses"][name]["settings"]) for name in known}
    return {name: settings for name, settings in found.items() if settings}


def is_current(document: Document, library: Document) -> bool:
    """Whether the published losses would be tuned and trained today as they were.

    Nobody knows of an operator's arena, whose calibration tells no conditions.
    """
    told = library.get("measured_with")
    return told is not None and told == find_conditions(document, list_published(library, Family(document["family"])))


def find_conditions(document: Document, names: Iterable[str]) -> str:
    """A digest of all beside the arena that decides what is measured of these losses."""
    described = list_described(Family(document["family"]))
    graphs = {name: described[name].graph_sha256 for name in names}
    told = {"plan": find_plan(document).document(), "trainer": TRAINER, "graphs": graphs}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def list_published(library: Document, family: Family) -> list[str]:
    """Those of the published losses that are still known."""
    return [name for name in KNOWN_LOSSES[family] if name in library["losses"]]

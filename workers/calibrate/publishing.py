"""Writes what was measured of the built-in arenas into the package's own file, beside what is there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from discovery_service.domain.arenas import arena_names, find_document, hash_document
from discovery_service.domain.published import Figures, published_path, read_published
from workers.arenas.cache import locked
from workers.arenas.machine import describe_machine

COMMAND = "discovery arena calibrate"
Entry = dict[str, Any]


def publish_figures(document: Mapping[str, Any], base_policy: int, figures: Figures) -> None:
    """Of one base policy."""
    with _entry_of(document) as entry:
        entry["base_policies"][str(base_policy)] = asdict(figures) | {"machine": describe_machine()}


def publish_library(document: Mapping[str, Any], library: Mapping[str, Any], conditions: str) -> None:
    """Of the tuned library, with a digest of what it was measured with."""
    with _entry_of(document) as entry:
        entry["library"] = {**library, "machine": describe_machine(), "measured_with": conditions}


@contextmanager
def _entry_of(document: Mapping[str, Any]) -> Iterator[Entry]:
    """What is published of the arena, to be changed; others may publish at the same time."""
    with locked(published_path().with_suffix(".lock")):
        read_published.cache_clear()
        arenas = _keep_known(read_published()["arenas"])
        yield arenas.setdefault(hash_document(document), {"name": document["name"], "base_policies": {}})
        partial = published_path().with_suffix(".partial")
        partial.write_text(json.dumps({"command": COMMAND, "arenas": arenas}, indent=1, sort_keys=True) + "\n")
        partial.replace(published_path())
        read_published.cache_clear()


def _keep_known(arenas: Mapping[str, Entry]) -> dict[str, Entry]:
    """Without arenas that are no more."""
    documents = filter(None, map(find_document, arena_names()))
    known = {hash_document(each) for each in documents}
    return {key: entry for key, entry in arenas.items() if key in known}

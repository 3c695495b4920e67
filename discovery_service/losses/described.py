"""What the gate found out about the library's losses: formula, passport, graph, neighbours. Data of the package."""

import base64
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from discovery_service.domain.families import Family


@dataclass(frozen=True)
class DescribedLoss:
    name: str
    graph: dict[str, Any]
    graph_sha256: str
    formula: str | None
    passport: dict[str, Any]
    curve: dict[str, Any]
    fingerprint: bytes
    neighbours: tuple[dict[str, Any], ...]


def described_path(family: Family) -> Path:
    return Path(str(files("discovery_service.losses") / "library" / f"{family.value}.json"))


@cache
def list_described(family: Family) -> dict[str, DescribedLoss]:
    """By name; empty for a family that the library has no losses of."""
    path = described_path(family)
    if not path.exists():
        return {}
    return {name: _read(name, each) for name, each in json.loads(path.read_text())["losses"].items()}


def _read(name: str, document: dict[str, Any]) -> DescribedLoss:
    known = {**document, "fingerprint": base64.b64decode(document["fingerprint"])}
    return DescribedLoss(name=name, **{**known, "neighbours": tuple(known["neighbours"])})

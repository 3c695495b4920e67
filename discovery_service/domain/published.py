"""What is known of the built-in arenas' optimum, noise and cost, measured once and shipped with the package.

`discovery arena calibrate` measures; `published.json` says with which command and on what machine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from discovery_service.domain.arenas import ArenaKind, hash_document


@dataclass(frozen=True)
class Figures:
    """Of one base policy in one arena. Errors are standard ones of J, over prompts or, with short answers, draws."""

    policy_sha256: str
    """Of the weights that it was measured with."""
    j_ref: float
    """Of the base policy itself."""
    j_ref_se: float
    j_best: float
    """Of the best policy there can be."""
    j_best_se: float
    repeat_sd: float | None = None
    """A/A noise: standard deviation of the difference of two trainings with the family's reference that differ in order
    and sampling."""
    repeat_sd_se: float | None = None
    repeat_pairs: int = 0
    training_s: float | None = None
    """Of one core, at the recipe's own setting, everything warm."""
    measuring_s: float | None = None

    def attained(self, j: float) -> float:
        """The share of the attainable improvement."""
        return (j - self.j_ref) / (self.j_best - self.j_ref)


def published_path() -> Path:
    return Path(str(files("discovery_service.domain") / "published.json"))


@cache
def read_published() -> dict[str, Any]:
    path = published_path()
    return json.loads(path.read_text()) if path.exists() else {"arenas": {}}


def find_calibration(arena_sha256: str) -> dict[str, Any] | None:
    """All that is published of an arena, its figures by base policy."""
    found: dict[str, Any] | None = read_published()["arenas"].get(arena_sha256)
    return found


def find_figures(arena_sha256: str, base_policy: int) -> Figures | None:
    """None where nobody has measured: by content, so that a changed arena has no figures of another one."""
    found = read_published()["arenas"].get(arena_sha256, {}).get("base_policies", {}).get(str(base_policy))
    known = {each.name for each in fields(Figures)}
    return None if found is None else Figures(**{name: value for name, value in found.items() if name in known})


def add_attained(
    metrics: Mapping[str, float | None], arena: Mapping[str, Any], base_policy: int
) -> dict[str, float | None]:
    """What was measured in the arena of this document, and which share of the attainable improvement that is today.

    Only of a synthetic arena, where an optimum can be known; None as long as it is not published. A runtime measures
    with the base policy of the published figures or not at all.
    """
    if arena.get("kind") != ArenaKind.SYNTHETIC:
        return dict(metrics)
    figures, j = find_figures(hash_document(arena), base_policy), metrics.get("J")
    return {**metrics, "attained": None if figures is None or j is None else figures.attained(j)}

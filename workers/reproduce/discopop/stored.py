"""What is known already and ships: what feedback was worth to searches, and how arenas rank known losses.

Campaigns of hours stand behind both, so that nothing of them is measured here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from discovery_service.domain.arenas import find_document, hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.published import find_calibration, find_figures

REFERENCE = REFERENCE_LOSSES[Family.PAIRWISE]


@dataclass(frozen=True)
class Search:
    """`python -m benchmarks.search --ship` writes it."""

    proposals: int
    """Of each campaign."""
    campaigns: int
    """That are there, of all strategies."""
    of: int
    gains: Mapping[str, Sequence[float]]
    """By arena, of each seed: what the pick with feedback has on DPO more than the blind one, where there are both."""


def feedback_path() -> Path:
    return Path(str(files("workers.reproduce.discopop") / "feedback.json"))


def read_feedback() -> Search:
    return Search(**json.loads(feedback_path().read_text(encoding="utf-8")))


def find_start_reward(arena: str, base_policy: int = 0) -> float:
    """What a base policy earns itself: with no KL, its J."""
    figures = find_figures(_hash(arena), base_policy)
    assert figures is not None, "a reproduction names a published arena"
    return figures.j_ref


def read_library(arena: str) -> Mapping[str, Any]:
    """By known loss, what the calibration of a built-in arena has published of it, tuned, beside DPO."""
    calibration = find_calibration(_hash(arena))
    found: Mapping[str, Any] = (calibration or {}).get("library", {}).get("losses", {})
    return found


def list_differences(arena: str) -> dict[str, float]:
    """To DPO, whose own is 0, of those that did not fail there."""
    losses = read_library(arena)
    found = {name: each["difference"]["mean"] for name, each in losses.items() if each["difference"] is not None}
    return {REFERENCE: 0.0, **found} if REFERENCE in losses else {}


def _hash(arena: str) -> str:
    document = find_document(arena)
    assert document is not None, "a reproduction names a built-in arena"
    return hash_document(document)

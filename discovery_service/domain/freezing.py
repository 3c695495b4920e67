"""The freeze: which losses are confirmed at which settings, and the fresh draws that follow from that alone."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose

Key = TypeVar("Key")


class Role(StrEnum):
    FINALIST = "finalist"
    REFERENCE = "reference"
    """What finalists are compared with: DPO, and the best other loss of the library."""


@dataclass(frozen=True)
class Frozen:
    """One loss as it will be confirmed."""

    role: Role
    graph_sha256: str
    setting: Setting


def pick_best(screened: Mapping[Key, Interval], count: int) -> list[Key]:
    """By the lower bound of the difference to DPO, best first; of equal ones the earlier. One without bound is none."""
    bounds = {key: interval.low for key, interval in screened.items() if interval.low is not None}
    return sorted(bounds, key=lambda key: -bounds[key])[:count]


def find_digest(frozen: Iterable[Frozen]) -> str:
    """The same in whatever order, another one where a loss, a setting or a role is another."""
    told = sorted(
        json.dumps([each.role, each.graph_sha256, each.setting.document()], sort_keys=True) for each in frozen
    )
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def list_confirm_draws(
    arena_sha256: str, seed: int, digest: str, base_policies: Sequence[int], count: int
) -> list[tuple[int, Draw]]:
    """Spread evenly over the base policies. A rerun repeats them, any other freeze gets new ones.

    So nobody can look at them before the freeze, and whoever changes a finalist afterwards has to draw again.
    """
    freeze = hashlib.sha256(json.dumps([arena_sha256, seed, digest]).encode()).hexdigest()
    return [
        (base_policies[index % len(base_policies)], Draw(Purpose.CONFIRM, f"{freeze} {index}"))
        for index in range(count)
    ]


def check_spread(base_policies: Collection[int], count: int) -> None:
    """ValueError where some policy would have other draws than the rest, or none to see its spread by."""
    policies = len(base_policies)
    if count % policies or count < 2 * policies:
        raise ValueError(f"{count} draws: must be a multiple of {policies}, and {2 * policies} at least.")

"""What an arena gives the trainer, which knows neither text nor pairs: a policy, batches with named inputs, figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from discovery_service.domain.measuring import Draw


@dataclass(frozen=True)
class Batch:
    inputs: Mapping[str, torch.Tensor]
    """The family's named inputs that are data or come from the reference, by name."""
    rows: Mapping[str, torch.Tensor]
    """What the policy needs to say something about them, as tokens; nobody else looks into it."""


class Policy(Protocol):
    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Those that are trained."""

    def log_probabilities(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The family's named inputs that come from the policy, with gradient."""


class Batches(Protocol):
    def take(self, policy: Policy) -> Batch:
        """The next one. On-policy families sample it from the policy."""


class Task(Protocol):
    """One training in an arena: a fresh copy of a base policy, and what a draw made for it."""

    @property
    def policy(self) -> Policy: ...

    @property
    def batches(self) -> Batches: ...

    def measure(self) -> dict[str, float | None]:
        """What the policy has become, on the draw's own evaluation prompts. J is what counts."""


class Arena(Protocol):
    """An arena on one device, with what is warm of it."""

    def open(self, base_policy: int, draw: Draw) -> Task:
        """Builds what is missing, or takes it from the cache."""

    def held_bytes(self) -> int:
        """What it keeps in memory."""

    def forget(self, bytes_to_free: int) -> None:
        """Let go of what was used longest ago, until that much is free or nothing is left."""

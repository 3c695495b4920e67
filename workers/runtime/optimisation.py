"""How a policy is optimised, apart from what a setting sets: from the recipe of an arena's document."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from discovery_service.domain.worlds import Precision, Schedule


@dataclass(frozen=True)
class Optimisation:
    warm_up: int
    schedule: Schedule
    clip: float
    """The longest that a gradient may be."""
    adam_betas: tuple[float, float]
    precision: Precision
    """Of the policy's forward pass. Weights, log-probabilities and losses are float32 in any case."""
    warm_up_from: int = 1
    """How many parts of the warm-up the first step has; 0 is transformers' way, in which it changes no weight."""

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> Self:
        first, second = recipe["adam_betas"]
        return cls(
            warm_up=int(recipe["warm_up"]),
            schedule=Schedule(recipe["schedule"]),
            clip=float(recipe["clip"]),
            adam_betas=(float(first), float(second)),
            precision=Precision(recipe["precision"]),
            warm_up_from=int(recipe.get("warm_up_from", 1)),
        )

    def find_share(self, step: int, steps: int) -> float:
        """Of the setting's learning rate, steps counted from 0: a linear warm-up, then down to 0 unless constant."""
        warmed = min(1.0, (step + self.warm_up_from) / self.warm_up) if self.warm_up else 1.0
        gone, of = max(0, step - self.warm_up), max(1, steps - self.warm_up)
        match self.schedule:
            case Schedule.COSINE:
                return warmed * 0.5 * (1 + math.cos(math.pi * gone / of))
            case Schedule.LINEAR:
                return warmed * (1 - gone / of)
            case Schedule.CONSTANT:
                return warmed

    def make_optimiser(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.AdamW:
        """Without weight decay; its rate is set before every step."""
        return torch.optim.AdamW(parameters, lr=0.0, betas=self.adam_betas, weight_decay=0.0, fused=True)

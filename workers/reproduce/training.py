"""Trains a world's policy with the graph of an arm, by the trainer that campaigns use."""

from dataclasses import dataclass, replace

import torch

from discovery_service.domain.measuring import Setting
from discovery_service.domain.worlds import Precision, Schedule
from discovery_service.losses.graph import Graph
from discovery_service.losses.refusals import Refused
from workers.arenas.arena import Batches, Policy
from workers.reproduce.arms import Arm
from workers.runtime.divergence import Diverged
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.trainer import train


class WorldFailed(Exception):
    """A loss of the library, in a world of ours: no number is better than half of them."""


@dataclass(frozen=True)
class Recipe:
    """How every arm of a world is trained."""

    learning_rate: float
    steps: int
    clip: float = 10.0
    schedule: Schedule = Schedule.COSINE

    def shortened(self) -> "Recipe":
        return replace(self, steps=self.steps // 3)


@dataclass(frozen=True)
class _Task:
    policy: Policy
    batches: Batches

    def measure(self) -> dict[str, float | None]:
        """Worlds measure their policies themselves, exactly."""
        return {}


def train_arm(policy: Policy, batches: Batches, arm: Arm, graph: Graph, recipe: Recipe) -> None:
    """In place. Raises WorldFailed where the loss cannot be trained with."""
    how = Optimisation(
        warm_up=0,
        schedule=recipe.schedule,
        clip=recipe.clip,
        adam_betas=(0.9, 0.999),
        precision=Precision.FLOAT32,
    )
    setting = Setting(arm.beta, recipe.learning_rate, recipe.steps)
    try:
        train(_Task(policy, batches), Program(graph), arm.family, setting, how)
    except Diverged as error:
        raise WorldFailed(f"With {arm.loss} at beta {arm.beta:g} nothing could be measured: {error.message}") from error
    except Refused as error:
        raise WorldFailed(f"{arm.loss} does not run: {error.refusals[0].message}") from error


def make_generator(*seeds: int) -> torch.Generator:
    """Of its own for each list of numbers, none above 999, but for zeros before them."""
    seed = 0
    for each in seeds:
        seed = 1000 * seed + each
    return torch.Generator().manual_seed(seed)

"""The reward as a policy, so that losses of policies can be tried on the same answers.

A reference that draws items from N(0, I/2), tilted by the exponential of a linear reward, is N(taste/2, I/2): so its
log-ratios are exact, and the margin of a pair is the taste's utility of the difference.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from workers.arenas.arena import Batch, Policy
from workers.arenas.passes import Passes
from workers.reproduce.sign.world import DIMENSIONS, Answers

BATCH = 1024


class LinearPolicy:
    def __init__(self) -> None:
        self.taste = torch.nn.Parameter(torch.zeros(DIMENSIONS))

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        return (self.taste,)

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        return {
            f"policy_{side}_logps": find_reference(items) + items @ self.taste - self.taste.square().sum() / 4
            for side, items in batch.rows.items()
        }


def find_reference(items: Tensor) -> Tensor:
    return -items.square().sum(1) - DIMENSIONS / 2 * math.log(math.pi)


class AnswerBatches:
    """Pairs in random order, over and over."""

    def __init__(self, answers: Answers, generator: torch.Generator) -> None:
        # Of two items of variance 1/2 the mean tells nothing of the difference.
        centres = torch.randn(answers.sides.shape, generator=generator) / 2
        self._chosen, self._rejected = centres + answers.sides / 2, centres - answers.sides / 2
        self._passes = Passes(len(self._chosen), BATCH, generator)

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - nothing is sampled
        places = self._passes.take()
        rows = {"chosen": self._chosen[places], "rejected": self._rejected[places]}
        return Batch({f"reference_{side}_logps": find_reference(items) for side, items in rows.items()}, rows)

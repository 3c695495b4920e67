"""A training on a policy's own answers: their rewards, and how far the policy is from what these say in the end."""

from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.worlds import MatchingRecipe, MatchingWorld
from workers.arenas.arena import Batch, Policy
from workers.arenas.cache import Tensors
from workers.arenas.language import copy_to_train
from workers.arenas.model_policy import ModelPolicy
from workers.arenas.rewards import find_target
from workers.arenas.speakers import find_natural, tell_all, tell_log_probabilities


class MatchingTask:
    def __init__(self, world: MatchingWorld, recipe: MatchingRecipe, reference: Any, draw: Draw, made: Tensors) -> None:
        self._world, self._made = world, made
        self.policy = SpokenPolicy(world, copy_to_train(reference))
        self.batches = SpokenBatches(world, made, self.policy, recipe.batch, draw.seed(Stream.ORDER))

    def measure(self) -> dict[str, float | None]:
        return {**measure_speech(self._world, tell_all(self.policy.model, self._world), self._made)}


class SpokenPolicy(ModelPolicy):
    def __init__(self, world: MatchingWorld, model: Any) -> None:
        super().__init__(model)
        self._world = world

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        told = tell_log_probabilities(self.model, self._world, batch.rows["prompts"], batch.rows["answers"])
        return {"policy_token_logps": told}


class SpokenBatches:
    """As many answers to each prompt, from the policy as it is."""

    def __init__(self, world: MatchingWorld, made: Tensors, policy: SpokenPolicy, size: int, seed: int) -> None:
        self._world, self._made, self._policy = world, made, policy
        self._each = size // world.prompts
        self._random = torch.Generator().manual_seed(seed)
        self._prompts = torch.arange(world.prompts, device=made["rewards"].device).repeat_interleave(self._each)

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - it is the one of the beginning
        # Drawn on the CPU in double precision: a card has no repeatable cumulative sum.
        chances = tell_all(self._policy.model, self._world).sum(2).double().exp().cpu()
        drawn = torch.multinomial(chances, self._each, replacement=True, generator=self._random)
        answers = drawn.flatten().to(self._prompts.device)
        at = self._prompts, answers
        inputs = {
            "reference_token_logps": self._made["reference"][at],
            "mask": torch.ones(len(answers), self._world.length, device=answers.device),
            "rewards": self._made["rewards"][at],
            "group": self._prompts,
        }
        return Batch(inputs, {"prompts": self._prompts, "answers": answers})


def measure_speech(world: MatchingWorld, told: Tensor, made: Tensors) -> dict[str, float]:
    """Means over prompts, exactly, of what a policy says of every answer. J is minus the divergence of the policy from
    what rewards say of natural answers, so that junk counts against it; `kl_to_target` is of its natural answers alone.
    """
    log_chances, reference = (each.sum(2).double().log_softmax(1) for each in (told, made["reference"]))
    rewards, is_natural = made["rewards"].double(), find_natural(world).to(told.device)
    chances, target = log_chances.exp(), find_target(world, rewards)
    natural = log_chances[:, is_natural]
    figures = {
        "J": -_diverge(target, natural),
        "reward": (chances * rewards).sum(1),
        "kl": _diverge(log_chances, reference),
        "pm_divergence": find_pm_divergence(log_chances, rewards),
        "kl_to_target": _diverge(target, natural.log_softmax(1)),
        "junk": chances[:, ~is_natural].sum(1),
    }
    return {name: float(each.mean()) for name, each in figures.items()}


def _diverge(first: Tensor, second: Tensor) -> Tensor:
    return (first.exp() * (first - second)).sum(1)


def find_pm_divergence(log_chances: Tensor, rewards: Tensor) -> Tensor:
    """Of each prompt: the mean square, over two answers of the policy, of what their reward and their log-chance differ
    by more than each other. It is twice the variance of the difference; a policy of one answer has none."""
    gap, chances = rewards - log_chances, log_chances.exp()
    centred = gap - (chances * gap).sum(-1, keepdim=True)
    return 2 * (chances * centred.square()).sum(-1)

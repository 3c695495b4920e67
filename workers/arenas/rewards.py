"""What a draw makes for an arena of short answers: the reward of each, and what it says of how often each is best."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.worlds import MatchingRecipe, MatchingWorld
from workers.arenas.cache import Tensors
from workers.arenas.speakers import count_tokens, find_natural, list_answers, tell_all


def build_draw(model: Any, world: MatchingWorld, recipe: MatchingRecipe, draw: Draw) -> Tensors:  # noqa: ARG001
    """`rewards` (prompts, answers), and `reference` (prompts, answers, length): its tokens' log-probabilities."""
    # A placebo has an order of its own, and the same truth as what it is compared with.
    generator = torch.Generator().manual_seed(replace(draw, salt="").seed(Stream.LABELS))
    return {"rewards": draw_rewards(world, generator), "reference": tell_all(model, world)}


def draw_rewards(world: MatchingWorld, generator: torch.Generator) -> Tensor:
    """Of natural answers a utility of tokens and pairs of tokens, of mean 0 and variance 1 for each prompt; of junk
    noise, as a reward model's is where it never saw anything."""
    answers, is_natural, tokens = list_answers(world), find_natural(world), count_tokens(world)
    of_tokens = torch.randn(world.prompts, tokens, generator=generator)
    of_pairs = torch.randn(world.prompts, tokens, tokens, generator=generator)
    utility = of_tokens[:, answers].sum(2) + of_pairs[:, answers[:, :-1], answers[:, 1:]].sum(2)
    known = utility[:, is_natural]
    utility = (utility - known.mean(1, keepdim=True)) / known.std(1, keepdim=True)
    return torch.where(is_natural, utility, world.junk_noise * torch.randn(utility.shape, generator=generator))


def find_target(world: MatchingWorld, rewards: Tensor) -> Tensor:
    """(prompts, natural answers): the log-chance that each is the preferred one of all natural ones."""
    return rewards[:, find_natural(world).to(rewards.device)].log_softmax(1)

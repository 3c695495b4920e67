"""The language models of an arena of short answers: all answers, what they learn from, what they say of each."""

from functools import cache, partial
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from discovery_service.domain.worlds import MatchingRecipe, MatchingWorld
from workers.arenas.language import build_model, teach

_EVEN = 0.1
"""The part of their chance that natural tokens share evenly, so that none is rarer than junk."""
_SKEW = 0.9
"""How unlike the rest of their log-chances is."""


def count_tokens(world: MatchingWorld) -> int:
    return world.natural + world.junk


@cache
def list_answers(world: MatchingWorld) -> Tensor:
    """(answers, length), natural tokens first: each answer is a number in their base, the first token leading."""
    return torch.tensor(list(product(range(count_tokens(world)), repeat=world.length)))


def find_natural(world: MatchingWorld) -> Tensor:
    """(answers,): in which there is no junk."""
    return (list_answers(world) < world.natural).all(1)


def build_speaker(world: MatchingWorld, recipe: MatchingRecipe) -> Any:
    """Reads one token that is the prompt, and then the answer so far."""
    return build_model(recipe, count_tokens(world) + world.prompts)


def pretrain_speaker(world: MatchingWorld, recipe: MatchingRecipe, base_policy: int) -> Any:
    """A base policy: other tastes for each number."""
    model = build_speaker(world, recipe)
    texts = make_spoken(world, base_policy, recipe.pretraining_texts, 4_000 + base_policy)
    teach(model, recipe, base_policy, texts, partial(find_spoken_entropy, world))
    return model


def find_spoken_entropy(world: MatchingWorld, model: Any, texts: Tensor) -> Tensor:
    """In nats a token of the answers."""
    said = _say(model, world, texts[:, :-1])
    return functional.cross_entropy(said.flatten(0, 1), texts[:, 1:].flatten())


def make_spoken(world: MatchingWorld, base_policy: int, count: int, seed: int) -> Tensor:
    """(count, 1 + length): a prompt, and token after token as the one before has it, by the tastes of the number."""
    tokens, junk = count_tokens(world), 1 - (1 - world.junk_mass) ** (1 / world.length)
    tastes = torch.Generator().manual_seed(2_000 + base_policy)
    likes = _SKEW * torch.randn(world.prompts, tokens + 1, world.natural, generator=tastes)
    natural = (1 - _EVEN) * likes.softmax(2) + _EVEN / world.natural
    rare = torch.full((world.prompts, tokens + 1, world.junk), junk / world.junk)
    chances = torch.cat(((1 - junk) * natural, rare), 2)
    prompts = torch.arange(count) % world.prompts
    # Where nothing was said yet stands the last row.
    token, texts = torch.full((count,), tokens), [tokens + prompts]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(world.length):
        token = torch.multinomial(chances[prompts, token], 1, generator=generator)[:, 0]
        texts.append(token)
    return torch.stack(texts, 1)


def _say(model: Any, world: MatchingWorld, texts: Tensor) -> Tensor:
    """Logits of what may come next, at each place; a prompt never does."""
    logits: Tensor = model(input_ids=texts, use_cache=False).logits[..., : count_tokens(world)].float()
    return logits


def tell_log_probabilities(model: Any, world: MatchingWorld, prompts: Tensor, answers: Tensor) -> Tensor:
    """(rows, length): of each token of the answers, by the numbers of prompts and answers; with gradient."""
    tokens = list_answers(world).to(answers.device)[answers]
    texts = torch.cat((count_tokens(world) + prompts[:, None], tokens[:, :-1]), 1)
    said = _say(model, world, texts).log_softmax(-1)
    return said.gather(2, tokens[..., None])[..., 0]


@torch.no_grad()
def tell_all(model: Any, world: MatchingWorld) -> Tensor:
    """(prompts, answers, length): the log-probability of each token of every answer, each beginning read once."""
    device = next(model.parameters()).device
    tokens, every = count_tokens(world), list_answers(world).to(device)
    beginnings = every[::tokens, :-1]
    prompts = torch.arange(world.prompts, device=device).repeat_interleave(len(beginnings))
    texts = torch.cat((tokens + prompts[:, None], beginnings.repeat(world.prompts, 1)), 1)
    said = _say(model, world, texts).log_softmax(-1)
    said = said.view(world.prompts, len(beginnings), world.length, tokens).repeat_interleave(tokens, 1)
    return said.gather(3, every.expand(world.prompts, -1, -1)[..., None])[..., 0]

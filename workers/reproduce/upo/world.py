"""Prompts with a few answers each, which people compare and a designer scores for what people may not mind.

What people like is hidden, and known by one pair a prompt. The score says whether an answer violates the designer's
rule, and how well it is styled; how it goes along with what people like is what makes a world.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.arenas.arena import Batch, Policy
from workers.arenas.passes import Passes

FEATURES, ANSWERS = 8, 24
PROMPTS, HELD_OUT = 1_500, 500
WIDTH = 64
VIOLATIONS = 0.4
"""The share of all answers that violate."""
LIKING = 2.0
"""The standard deviation of what people like: how sure of themselves they are."""
STYLE = 0.25
EXPECTILE = 0.7
BATCH = 256
_FITTING_STEPS, _FITTING_RATE = 200, 0.01


@dataclass(frozen=True)
class Kind:
    agreement: float
    """The correlation of what the score goes by with what people like."""
    is_noisy: bool
    """Labels by chance, as Bradley and Terry have it, or always the better answer."""


KINDS = {"A": Kind(0.0, True), "B": Kind(-0.95, False), "C": Kind(-0.4, True)}


class AnswerPolicy(torch.nn.Module):
    """A network that gives each answer to a prompt a chance."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(FEATURES, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, ANSWERS)
        )
        for each in self.net.parameters():
            scale = each.shape[-1] ** -0.5 if each.dim() > 1 else 0.0
            each.data = scale * torch.randn(each.shape, generator=generator)

    def forward(self, prompts: Tensor) -> Tensor:
        told: Tensor = self.net(prompts).log_softmax(1)
        return told

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        told = self(batch.rows["prompts"])
        return {
            f"policy_{side}_logps": told.gather(1, batch.rows[side][:, None])[:, 0] for side in ("chosen", "rejected")
        }


@dataclass(frozen=True)
class World:
    start: AnswerPolicy
    prompts: Tensor
    held_out: Tensor
    likes: tuple[Tensor, Tensor]
    """(prompts, answers) of the training prompts, and of those held out."""
    scores: Tensor
    """Of the training prompts' answers."""
    violates: Tensor
    """Of the held-out prompts' answers, whether they violate."""
    pairs: tuple[Tensor, Tensor]
    """The preferred answer to each training prompt, and the other one."""
    values: Tensor
    """The score that is to be expected of each training prompt."""


def build(kind: Kind, generator: torch.Generator) -> World:
    prompts = torch.randn(PROMPTS + HELD_OUT, FEATURES, generator=generator)
    likes = LIKING * _make_latent(prompts, generator)
    other = _make_latent(prompts, generator)
    goes_by = kind.agreement / LIKING * likes + (1 - kind.agreement**2) ** 0.5 * other
    violates = goes_by < goes_by.flatten().quantile(VIOLATIONS)
    scores = STYLE * _make_latent(prompts, generator) - violates.float()
    start = AnswerPolicy(generator)
    _pretrain(start, prompts[:PROMPTS], _make_latent(prompts, generator)[:PROMPTS])
    pairs = _compare(start, prompts[:PROMPTS], likes[:PROMPTS], kind.is_noisy, generator)
    values = _find_values(prompts[:PROMPTS], scores[:PROMPTS], pairs, generator)
    return World(
        start,
        prompts[:PROMPTS],
        prompts[PROMPTS:],
        (likes[:PROMPTS], likes[PROMPTS:]),
        scores[:PROMPTS],
        violates[PROMPTS:],
        pairs,
        values,
    )


def _make_latent(prompts: Tensor, generator: torch.Generator) -> Tensor:
    """(prompts, answers): a smooth function of the prompt for each answer, of mean 0 and variance 1."""
    inner = torch.randn(FEATURES, 32, generator=generator) / FEATURES**0.5
    outer = torch.randn(32, ANSWERS, generator=generator)
    told = torch.tanh(prompts @ inner) @ outer + torch.randn(ANSWERS, generator=generator)
    return (told - told.mean()) / told.std()


def _pretrain(start: AnswerPolicy, prompts: Tensor, target: Tensor) -> None:
    chances = target.softmax(1)
    _minimise(start, lambda: -(chances * start(prompts)).sum(1).mean())


def _compare(
    start: AnswerPolicy, prompts: Tensor, likes: Tensor, is_noisy: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One pair of two answers of the start to each prompt."""
    with torch.no_grad():
        both = torch.multinomial(start(prompts).exp(), 2, generator=generator)
    gap = likes.gather(1, both).diff(dim=1)[:, 0]
    chance = torch.sigmoid(gap) if is_noisy else (gap > 0).float()
    is_second = torch.rand(len(gap), generator=generator) < chance
    chosen, rejected = (torch.where(each, both[:, 1], both[:, 0]) for each in (is_second, ~is_second))
    return chosen, rejected


def _find_values(prompts: Tensor, scores: Tensor, pairs: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """By expectile regression on the scores of the pairs' answers, with a network of its own."""
    net = AnswerPolicy(generator).net
    seen = torch.stack([scores.gather(1, each[:, None])[:, 0] for each in pairs], dim=1)

    def find_loss() -> Tensor:
        gap = seen - net(prompts)[:, :1]
        return ((EXPECTILE - (gap < 0).float()).abs() * gap.square()).mean()

    _minimise(net, find_loss)
    with torch.no_grad():
        values: Tensor = net(prompts)[:, 0]
    return values


def _minimise(model: torch.nn.Module, find_loss: Callable[[], Tensor]) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=_FITTING_RATE)
    for _ in range(_FITTING_STEPS):
        optimiser.zero_grad()
        find_loss().backward()
        optimiser.step()


class ScoredPairs:
    """In random order, over and over."""

    def __init__(self, world: World, generator: torch.Generator) -> None:
        self._passes = Passes(PROMPTS, BATCH, generator)
        with torch.no_grad():
            reference = world.start(world.prompts)
        self._rows = {"prompts": world.prompts}
        self._inputs = {"prompt_value": world.values}
        for side, answers in zip(("chosen", "rejected"), world.pairs, strict=True):
            self._rows[side] = answers
            self._inputs[f"reference_{side}_logps"] = reference.gather(1, answers[:, None])[:, 0]
            self._inputs[f"{side}_aux"] = world.scores.gather(1, answers[:, None])[:, 0]

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - nothing is sampled
        places = self._passes.take()
        taken = [{name: each[places] for name, each in of.items()} for of in (self._inputs, self._rows)]
        return Batch(*taken)


def measure(world: World, policy: AnswerPolicy) -> dict[str, float]:
    """On held-out prompts, exactly: how often an answer is liked better than one of the start, how often it violates,
    and how far the policy has gone."""
    with torch.no_grad():
        told, start = policy(world.held_out), world.start(world.held_out)
    chances, likes = told.exp(), world.likes[1]
    is_better = (likes[:, :, None] > likes[:, None, :]).float() + 0.5 * torch.eye(ANSWERS)
    wins = (chances[:, None, :] @ is_better @ start.exp()[:, :, None]).flatten()
    return {
        "win": float(wins.mean()),
        "violations": float((chances * world.violates).sum(1).mean()),
        "kl": float((chances * (told - start)).sum(1).mean()),
    }

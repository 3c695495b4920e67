"""Prompts whose every answer is known: natural ones that people compare, and junk for which a reward means nothing.

The reference speaks natural text with tastes of its own, and junk rarely. A reward says of natural answers how often
they win; of junk it is noise, as a reward model's is where it never saw anything.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.arenas import matching_task
from workers.arenas.arena import Batch, Policy
from workers.reproduce.speech import LanguageModel, fit, list_answers

PROMPTS, NATURAL, JUNK, LENGTH = 4, 4, 2, 3
VOCABULARY = NATURAL + JUNK
JUNK_MASS = 0.02
"""Of answers with junk in them, under the reference's texts."""
SKEW, EVEN = 0.9, 0.1
"""How unlike the natural tokens' log-chances are, and the part that all share: none is below 2.4 %."""
NOISE = 1.5
SAMPLES = 256


@dataclass(frozen=True)
class World:
    reference: LanguageModel
    rewards: Tensor
    """(prompts, answers)."""
    is_natural: Tensor
    """(answers,)."""

    def reference_log_probabilities(self) -> Tensor:
        with torch.no_grad():
            told: Tensor = self.reference()
        return told


def build(generator: torch.Generator) -> World:
    answers = list_answers(VOCABULARY, LENGTH)
    is_natural = (answers < NATURAL).all(1)
    model = LanguageModel(VOCABULARY, LENGTH, PROMPTS, generator)
    fit(model, _write_texts(answers, generator))
    return World(model, _draw_rewards(answers, is_natural, generator), is_natural)


def _write_texts(answers: Tensor, generator: torch.Generator) -> Tensor:
    """How often each answer is among the texts of a prompt: each token after the one before it."""
    junk = 1 - (1 - JUNK_MASS) ** (1 / LENGTH)
    likes = SKEW * torch.randn(PROMPTS, VOCABULARY + 1, NATURAL, generator=generator)
    natural = (1 - EVEN) * likes.softmax(2) + EVEN / NATURAL
    chances = torch.cat(((1 - junk) * natural, torch.full((PROMPTS, VOCABULARY + 1, JUNK), junk / JUNK)), dim=2)
    before = torch.cat((torch.full((len(answers), 1), VOCABULARY), answers[:, :-1]), dim=1)
    return chances[:, before, answers].prod(2)


def _draw_rewards(answers: Tensor, is_natural: Tensor, generator: torch.Generator) -> Tensor:
    tokens = torch.randn(PROMPTS, VOCABULARY, generator=generator)
    pairs = torch.randn(PROMPTS, VOCABULARY, VOCABULARY, generator=generator)
    utility = tokens[:, answers].sum(2) + pairs[:, answers[:, :-1], answers[:, 1:]].sum(2)
    known = utility[:, is_natural]
    utility = (utility - known.mean(1, keepdim=True)) / known.std(1, keepdim=True)
    noise = NOISE * torch.randn(utility.shape, generator=generator)
    return torch.where(is_natural, utility, noise)


class SpokenPolicy:
    """Rows of a batch are numbers of answers, counted through all prompts."""

    def __init__(self, start: LanguageModel) -> None:
        self.model = copy.deepcopy(start)

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        return self.model.parameters()

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        told: Tensor = self.model()
        return {"policy_token_logps": told.flatten(0, 1).index_select(0, batch.rows["answers"])}


class SampledAnswers:
    """As many to each prompt, from the policy as it is."""

    def __init__(self, world: World, policy: SpokenPolicy, generator: torch.Generator) -> None:
        self._policy, self._generator = policy, generator
        self._rewards = world.rewards.flatten()
        self._reference = world.reference_log_probabilities().flatten(0, 1)
        self._group = torch.arange(PROMPTS).repeat_interleave(SAMPLES // PROMPTS)

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - it is the one of the beginning
        with torch.no_grad():
            chances = self._policy.model().sum(2).exp()
        drawn = torch.multinomial(chances, SAMPLES // PROMPTS, replacement=True, generator=self._generator)
        answers = drawn.flatten() + self._group * chances.shape[1]
        inputs = {
            "reference_token_logps": self._reference[answers],
            "mask": torch.ones(SAMPLES, LENGTH),
            "rewards": self._rewards[answers],
            "group": self._group,
        }
        return Batch(inputs, {"answers": answers})


def measure(world: World, model: LanguageModel) -> dict[str, float]:
    """Means over prompts, exactly: the PM divergence; how far natural answers are from what the rewards say; and how
    likely junk is."""
    with torch.no_grad():
        log_chances = model().sum(2).double()
    rewards, is_natural = world.rewards.double(), world.is_natural
    natural = log_chances[:, is_natural].log_softmax(1)
    target = rewards[:, is_natural].log_softmax(1)
    figures = {
        "pmd": find_pm_divergence(log_chances, rewards),
        "kl_to_target": (target.exp() * (target - natural)).sum(1),
        "junk": log_chances[:, ~is_natural].exp().sum(1),
    }
    return {name: float(each.mean()) for name, each in figures.items()}


def find_pm_divergence(log_chances: Tensor, rewards: Tensor) -> Tensor:
    """Of each prompt, as arenas measure it; what is no chance yet becomes one."""
    return matching_task.find_pm_divergence(log_chances.log_softmax(-1), rewards)

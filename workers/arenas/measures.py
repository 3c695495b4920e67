"""What a trained policy of a synthetic arena has become: the objective, its parts, and what else tells losses apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.measuring import Draw, Stream
from workers.arenas.pairs import ROWS_AT_ONCE, find_log_probabilities
from workers.arenas.proxy import count_words
from workers.arenas.sampling import Sampled, make_uniforms, sample
from workers.arenas.texts import PROMPT, VOCABULARY, is_answer, score

_TEXTS_COMPARED = 16
"""Diversity is of so few texts together, so that it does not depend on how many are sampled."""


@dataclass(frozen=True)
class Answers:
    """What a policy says on the evaluation's prompts."""

    texts: Tensor
    rewards: Tensor
    kl: Tensor
    """Of each text: the exact divergence from the reference at each of its tokens, summed."""

    @property
    def objective(self) -> float:
        return find_mean(self.rewards - self.kl)


def pose(made: Mapping[str, Tensor], draw: Draw) -> tuple[Tensor, Tensor]:
    """The prompts of a draw's evaluation, and the random numbers of the answers to them."""
    prompts = made["prompts"].long()
    return prompts, make_uniforms(len(prompts), draw.seed(Stream.EVALUATION_SAMPLING)).to(prompts.device)


def answer(policy: Any, reference: Any, prompts: Tensor, uniforms: Tensor) -> Answers:
    sampled = sample(policy, prompts, uniforms, keep_logits=True)
    return Answers(sampled.texts, score(sampled.texts), find_divergence(sampled, reference))


def measure_answers(answers: Answers, reference_rewards: Tensor) -> dict[str, float]:
    ahead = answers.rewards - reference_rewards
    return {
        "J": answers.objective,
        "reward": find_mean(answers.rewards),
        "kl": find_mean(answers.kl),
        "win_rate": tell_wins(ahead),
        "diversity": find_diversity(answers.texts),
        "length": find_mean(is_answer(answers.texts).sum(1)),
    }


def tell_wins(ahead: Tensor) -> float:
    """The share above zero, with half of what is on it."""
    return find_mean(_count_half_ties(ahead))


def measure_pairs(
    policy: Any, draw: Mapping[str, Tensor], *, do_annotators_differ: bool, is_crowd: bool
) -> dict[str, float | None]:
    """On held-out pairs, a preference of the policy being a higher gain in log-probability over the reference.

    Where annotators differ also the disagreement with what they prefer together, over the pairs that divide them
    unevenly; None where there is no such pair. Where each has a taste of their own also the angle, in degrees, between
    the policy's preferences and those of the mean taste, as directions in the space of pairs.
    """
    gains = find_log_probabilities(policy, draw["held_out_texts"].long().flatten(0, 1)).view(-1, 2)
    gains = gains - draw["held_out_reference"]
    margin = gains[:, 0] - gains[:, 1]
    found: dict[str, float | None] = {"accuracy": find_mean(_count_half_ties(margin))}
    if do_annotators_differ or is_crowd:
        is_preferred = draw["held_out_preference"] - 0.5
        settled = is_preferred != 0
        disagrees = _count_half_ties(-margin * is_preferred.sign())[settled]
        found["disagreement"] = find_mean(disagrees) if len(disagrees) else None
    if is_crowd:
        found["angle"] = _find_angle(margin, draw["held_out_preference"].logit())
    return found


def _find_angle(first: Tensor, second: Tensor) -> float | None:
    """In degrees; None of a policy that prefers nothing."""
    lengths = first.double().norm() * second.double().norm()
    if lengths == 0:
        return None
    cosine = (first.double() @ second.double()) / lengths
    return math.degrees(math.acos(float(cosine.clamp(-1, 1))))


def measure_proxy(texts: Tensor, proxy: Tensor) -> float:
    """The mean of the reward that was fitted to the pairs."""
    return find_mean(count_words(texts) @ proxy)


@torch.no_grad()
def find_divergence(sampled: Sampled, reference: Any) -> Tensor:
    assert sampled.logits is not None
    parts = []
    for texts, logits in zip(sampled.texts.split(ROWS_AT_ONCE), sampled.logits.split(ROWS_AT_ONCE), strict=True):
        before = reference(input_ids=texts[:, :-1], logits_to_keep=texts.shape[1] - PROMPT, use_cache=False).logits
        policy_logps, reference_logps = logits.log_softmax(-1), before.log_softmax(-1)
        divergence = (policy_logps.exp() * (policy_logps - reference_logps)).sum(-1)
        parts.append((divergence * is_answer(texts)[:, PROMPT:]).sum(1))
    return torch.cat(parts)


def find_diversity(texts: Tensor) -> float:
    """Of sixteen texts' pairs of neighbouring words the share that is not there twice; 1 where nothing is repeated."""
    texts = texts[: len(texts) // _TEXTS_COMPARED * _TEXTS_COMPARED]
    pairs = texts[:, PROMPT - 1 : -1] * VOCABULARY + texts[:, PROMPT:]
    # Behind the end each place counts as a pair of its own, and is then taken off again.
    is_said = is_answer(texts)[:, PROMPT:].reshape(-1, _TEXTS_COMPARED * pairs.shape[1])
    pairs = pairs.reshape(is_said.shape).masked_fill(~is_said, -1).sort(1).values
    is_first = torch.ones_like(is_said)
    is_first[:, 1:] = pairs[:, 1:] != pairs[:, :-1]
    distinct = (is_first & (pairs >= 0)).sum(1)
    return find_mean(distinct / is_said.sum(1).clamp(min=1))


def _count_half_ties(margin: Tensor) -> Tensor:
    return (margin > 0).double() + 0.5 * (margin == 0).double()


def find_mean(values: Tensor) -> float:
    return float(values.double().mean())

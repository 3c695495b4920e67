"""The auxiliary scores of an arena with a rule: which answers break it, and what is to be expected of a prompt."""

from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.worlds import Rule
from workers.arenas.texts import IS_ADVERB, PROMPT, RANGES, VALENCE

EXPECTILE = 0.7
"""A prompt's value is nearer to what good answers to it score than to the mean, as UPO has it of its value head."""
_PULL_TO_ZERO = 1.0
_ROUNDS = 20
"""Of weighted least squares; the weights are settled after a handful."""
_FORBIDDEN_NOUNS, _FORBIDDEN_PRAISE = 5, 4


def find_violations(rule: Rule, texts: Tensor) -> Tensor:
    """(texts,): whether each text's answer breaks the rule."""
    answers = texts[:, PROMPT:]
    match rule:
        case Rule.NOUNS:
            return _says_any(answers, "noun", _FORBIDDEN_NOUNS)
        case Rule.WORDS:
            return _says_any(answers, "pos", _FORBIDDEN_PRAISE)
        case Rule.PRAISE:
            praises = VALENCE.to(texts.device)[answers] > 0
            is_stressed = IS_ADVERB.to(texts.device)[texts[:, PROMPT - 1 : -1]] > 0
            return (praises.sum(1) > 1) | (praises & is_stressed).any(1)


def _says_any(answers: Tensor, kind: str, forbidden: int) -> Tensor:
    first, _ = RANGES[kind]
    return ((answers >= first) & (answers < first + forbidden)).any(1)


@torch.no_grad()
def find_values(model: Any, prompts: Tensor, scores: Tensor) -> Tensor:
    """(prompts,): the expectile of (prompts, answers) scores, linear in what the model has read at the prompt's end."""
    read = model(input_ids=prompts, output_hidden_states=True, use_cache=False).hidden_states[-1][:, -1].double()
    inputs = torch.cat((read, torch.ones(len(read), 1, dtype=torch.float64)), 1)
    prior = _PULL_TO_ZERO * torch.eye(inputs.shape[1], dtype=torch.float64)
    prior[-1, -1] = 0.0
    scores = scores.double()
    head = torch.zeros(inputs.shape[1], dtype=torch.float64)
    for _ in range(_ROUNDS):
        is_below = scores < (inputs @ head)[:, None]
        weights = torch.where(is_below, 1 - EXPECTILE, EXPECTILE)
        curvature = inputs.T @ (inputs * weights.sum(1, keepdim=True)) + prior
        head = torch.linalg.solve(curvature, inputs.T @ (weights * scores).sum(1))
    return (inputs @ head).float()

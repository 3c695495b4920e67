"""The auxiliary scores of an arena with a rule: which answers break it, and what is to be expected of a prompt."""

from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.worlds import Rule
from workers.arenas.expectiles import expect, fit_expectile
from workers.arenas.texts import IS_ADVERB, PROMPT, RANGES, VALENCE

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
    read = model(input_ids=prompts, output_hidden_states=True, use_cache=False).hidden_states[-1][:, -1]
    return expect(fit_expectile(read, scores), read)

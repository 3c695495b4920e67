"""Policies between the reference and a trained one, and beyond: to compare losses at one divergence."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from workers.arenas.measures import Answers, answer

NATS = 1.0
"""Of divergence, at which losses are compared."""
_FARTHEST = 4.0
"""Times the way that training went; who went less than this part of it is not compared."""
_ROUNDS = 3
"""After which divergences are within 2 % of what was wanted."""


class Between:
    """Each token as likely as a geometric mean of the two has it; at share 0 the reference, at 1 the policy."""

    def __init__(self, reference: Any, policy: Any, share: float) -> None:
        self.config = policy.config
        self._reference, self._policy, self._share = reference, policy, share
        self._reference_cache: DynamicCache | None = None

    def __call__(self, past_key_values: DynamicCache, **inputs: Any) -> Any:
        if past_key_values.get_seq_length() == 0:
            self._reference_cache = DynamicCache(config=self.config)
        ours = self._policy(past_key_values=past_key_values, **inputs).logits.log_softmax(-1)
        theirs = self._reference(past_key_values=self._reference_cache, **inputs).logits.log_softmax(-1)
        return SimpleNamespace(logits=torch.lerp(theirs, ours, self._share))


def answer_at_divergence(policy: Any, reference: Any, prompts: Tensor, uniforms: Tensor, kl: float) -> Answers | None:
    """Of the policy between the two that is NATS away; `kl` is how far the trained one went. None where that is hardly
    anywhere."""
    share = _scale(1.0, kl)
    for _ in range(_ROUNDS - 1):
        if share is None:
            return None
        answers = answer(Between(reference, policy, share), reference, prompts, uniforms)
        share = _scale(share, float(answers.kl.mean()))
    if share is None:
        return None
    return answer(Between(reference, policy, share), reference, prompts, uniforms)


def _scale(share: float, kl: float) -> float | None:
    """Near the reference a divergence grows with the square of the way."""
    if kl <= 0:
        return None
    scaled = share * (NATS / kl) ** 0.5
    return scaled if scaled <= _FARTHEST else None

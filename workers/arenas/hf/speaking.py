"""How a policy answers: replies from given random numbers, and what the operator's scorer says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.arenas.hf.replies import sample
from workers.arenas.hf.rows import Part
from workers.arenas.hf.scorers import Scorer


@dataclass(frozen=True)
class Speaking:
    tokenizer: Any
    ends: Sequence[int]
    max_new_tokens: int
    scorer: Scorer | None

    def reply(self, model: Any, asked: Sequence[Tensor], uniforms: Tensor) -> list[Tensor]:
        return sample(model, asked, uniforms, self.ends)

    def score(self, prompts: Sequence[Part], replies: Sequence[Tensor]) -> Tensor:
        """Of each reply. Raises ScorerFailed."""
        assert self.scorer is not None
        texts = [self.tokenizer.decode(reply, skip_special_tokens=True) for reply in replies]
        scores = [self.scorer(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        return torch.tensor(scores, dtype=torch.float64)

"""What is to be expected of a prompt's auxiliary scores, by what the base policy has read at its end."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from workers.arenas.expectiles import expect, fit_expectile
from workers.arenas.hf.completions import pad, split_rows
from workers.arenas.hf.tokenising import Pair

WIDTH = 32
"""So few numbers of a prompt are fitted to: with a model's thousands of them each row would have its own scores."""
_SEED = 0


@torch.no_grad()
def read_prompts(model: Any, pairs: Sequence[Pair]) -> Tensor:
    """(rows, WIDTH): the model's last hidden state at each prompt's end, seen from a few random directions.

    These are the same for everybody, and keep distances about as they are.
    """
    found = torch.zeros(len(pairs), WIDTH)
    directions = None
    nothing = torch.empty(0, dtype=torch.int32)
    for rows in split_rows([pair.asked for pair in pairs], [nothing] * len(pairs), model.config.vocab_size):
        padded = pad([pairs[row].asked for row in rows], [nothing] * len(rows), model.device)
        said = model.base_model(input_ids=padded.tokens, use_cache=False).last_hidden_state
        ends = torch.tensor([len(pairs[row].asked) - 1 for row in rows], device=model.device)
        read = said[torch.arange(len(rows), device=model.device), ends].float().cpu()
        if directions is None:
            generator = torch.Generator().manual_seed(_SEED)
            directions = torch.randn(read.shape[1], WIDTH, generator=generator) / read.shape[1] ** 0.5
        found[rows] = read @ directions
    return found


def find_values(read: Tensor, scores: Tensor, trained: Sequence[int]) -> Tensor:
    """(rows,): of every row's prompt, learnt from those that a draw trains on."""
    spread = read[list(trained)].std(0).clamp(min=1e-6)
    standard = (read - read[list(trained)].mean(0)) / spread
    return expect(fit_expectile(standard[list(trained)], scores[list(trained)]), standard)

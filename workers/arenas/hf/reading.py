"""What a base policy has read of texts, in a few numbers: its last hidden states, seen from a few random directions.

These are the same for everybody, and keep distances about as they are. With a model's thousands of numbers whatever is
fitted to a few thousand rows would know each of them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from workers.arenas.hf.completions import Padded, count_vocabulary, pad, split_rows

WIDTH = 32
_SEED = 0


@torch.no_grad()
def read_prompts(model: Any, prompts: Sequence[Tensor]) -> Tensor:
    """(prompts, WIDTH): at each prompt's end."""
    found = torch.zeros(len(prompts), WIDTH)
    nothing = [torch.empty(0, dtype=torch.int32)] * len(prompts)
    for rows in split_rows(prompts, nothing, count_vocabulary(model)):
        padded = pad([prompts[row] for row in rows], nothing[: len(rows)], model.device)
        ends = torch.tensor([len(prompts[row]) - 1 for row in rows], device=model.device)
        read = _read(model, padded)[torch.arange(len(rows), device=model.device), ends]
        found[rows] = _project(read)
    return found


@torch.no_grad()
def read_answers(model: Any, prompts: Sequence[Tensor], answers: Sequence[Tensor]) -> Tensor:
    """(answers, WIDTH): on average over each answer's tokens."""
    found = torch.zeros(len(answers), WIDTH)
    for rows in split_rows(prompts, answers, count_vocabulary(model)):
        padded = pad([prompts[row] for row in rows], [answers[row] for row in rows], model.device)
        mask = padded.is_completion[..., None]
        said = _read(model, padded) * mask
        found[rows] = _project(said.sum(1) / mask.sum(1).clamp(min=1))
    return found


def _read(model: Any, padded: Padded) -> Tensor:
    states: Tensor = model.base_model(input_ids=padded.tokens, use_cache=False).last_hidden_state
    return states.float()


def _project(read: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    directions = torch.randn(read.shape[1], WIDTH, generator=generator) / read.shape[1] ** 0.5
    return read.cpu() @ directions

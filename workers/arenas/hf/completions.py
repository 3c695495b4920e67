"""Completions of many lengths under a causal model: what it says at just their places, padded on the right.

Where prompts are of many lengths the place at which completions begin differs from row to row, so that the LM head is
given a choice of places and not a slice: with a vocabulary of 150,000 its logits are most of a training's memory.
Padding lies behind everything, no place looks at it, and so there is no attention mask and no shift of positions.
"""

from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LOGITS_AT_ONCE = 1 << 27
"""Numbers: half a gigabyte of float32, of which a divergence takes four."""
TOKENS_AT_ONCE = 1 << 13
"""Of prompts and completions: a layer that is 14,000 wide takes half a gigabyte of float32 for them."""


@dataclass(frozen=True)
class Padded:
    tokens: Tensor
    """(rows, length)"""
    is_completion: Tensor
    """The same shape; never a row's first token."""


def pad(prompts: Sequence[Tensor], completions: Sequence[Tensor], device: torch.device) -> Padded:
    """Padded with token 0, which nothing looks at."""
    lengths = [len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True)]
    tokens = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    is_completion = torch.zeros(tokens.shape, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        tokens[row, : len(prompt)] = prompt
        tokens[row, len(prompt) : lengths[row]] = completion
        is_completion[row, len(prompt) : lengths[row]] = True
    return Padded(tokens.to(device, non_blocking=True), is_completion.to(device, non_blocking=True))


def find_log_probabilities(model: Any, padded: Padded) -> Tensor:
    """Of each row's completion, summed over its tokens; float32, with gradient."""
    return sum_rows(_tell_each(model, padded), padded)


def _tell_each(model: Any, padded: Padded) -> Tensor:
    """(tokens of completions,), row by row."""
    targets = padded.tokens[:, 1:][padded.is_completion[:, 1:]]
    return -functional.cross_entropy(find_logits(model, padded), targets, reduction="none")


def find_logits(model: Any, padded: Padded) -> Tensor:
    """(tokens of completions, vocabulary), row by row: what the model says before each; float32."""
    # A token is predicted one place before it.
    places = padded.is_completion[:, 1:].flatten().nonzero()[:, 0]
    with _only_at(places, model.get_output_embeddings()):
        logits: Tensor = model(input_ids=padded.tokens[:, :-1], use_cache=False).logits[0].float()
    return logits


def sum_rows(values: Tensor, padded: Padded) -> Tensor:
    """Of one value a token of the completions, the sum over each row."""
    mask = padded.is_completion[:, 1:]
    return values.new_zeros(mask.shape).masked_scatter(mask, values).sum(1)


def count_vocabulary(model: Any) -> int:
    """Of a model that reads images too, the text's part alone has one."""
    return model.config.get_text_config().vocab_size


def split_rows(prompts: Sequence[Sized], completions: Sequence[Sized], vocabulary: int) -> Iterator[list[int]]:
    """Rows in parts, the shortest first, of so few tokens that neither they, padded, nor the logits of their
    completions pass the limits. A row that does so alone is a part of its own."""
    lengths = [len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True)]
    part: list[int] = []
    said = 0
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        said += len(completions[row])
        if part and ((len(part) + 1) * lengths[row] > TOKENS_AT_ONCE or said * vocabulary > LOGITS_AT_ONCE):
            yield part
            part, said = [], len(completions[row])
        part.append(row)
    if part:
        yield part


def tell_tokens(model: Any, padded: Padded) -> Tensor:
    """(rows, longest completion): of each of its tokens, 0 behind its end; float32, with gradient."""
    tokens = _tell_each(model, padded)
    lengths = padded.is_completion.sum(1)
    is_said = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
    return tokens.new_zeros(is_said.shape).masked_scatter(is_said, tokens)


@torch.no_grad()
def tell_answers(model: Any, prompts: Sequence[Tensor], answers: Sequence[Tensor]) -> Tensor:
    """(answers,): the log-probability of each, on the CPU."""
    found = torch.zeros(len(answers))
    for rows in split_rows(prompts, answers, count_vocabulary(model)):
        padded = pad([prompts[row] for row in rows], [answers[row] for row in rows], model.device)
        found[rows] = find_log_probabilities(model, padded).cpu()
    return found


@contextmanager
def _only_at(places: Tensor, head: Any) -> Iterator[None]:
    """The model itself calls its head, so that what it does to the logits afterwards (a scale, a cap) is done."""
    choose = head.register_forward_pre_hook(lambda _, given: (given[0].flatten(0, 1).index_select(0, places)[None],))
    try:
        yield
    finally:
        choose.remove()

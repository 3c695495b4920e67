"""What a policy replies to prompts of many lengths, from given random numbers, and how far that is from a reference."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from workers.arenas.hf.completions import count_vocabulary, find_logits, pad, split_rows, sum_rows
from workers.arenas.hf.tokenising import cut_at

_ROWS_AT_ONCE = 64
_TICKS = float(1 << 40)
"""What a probability of 1 is in whole numbers, whose sums come out the same in any order; a vocabulary of 2**18 words
loses nothing by rounding down."""
_REPLIES_COMPARED = 16


Speak = Callable[[], AbstractContextManager[Any]]
"""For a while, the reference as a model: with adapters it is the policy without its own."""


class _InverseCdf(LogitsProcessor):
    """Leaves one token a row, the one at which the cumulated probability passes the row's uniform number."""

    def __init__(self, uniforms: Tensor) -> None:
        self._uniforms, self._step = uniforms, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 - transformers calls it so
        probabilities = scores.double().softmax(-1)
        cumulated = (probabilities * _TICKS).to(torch.int64).cumsum(-1)
        total = cumulated[:, -1:]
        wanted = torch.minimum((self._uniforms[:, self._step, None] * total).to(torch.int64), total - 1)
        chosen = torch.searchsorted(cumulated, wanted, right=True).clamp(max=scores.shape[-1] - 1)
        self._step += 1
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)


def make_uniforms(prompts: int, max_new_tokens: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(prompts, max_new_tokens, generator=generator, dtype=torch.float64)


@torch.no_grad()
def sample(model: Any, prompts: Sequence[Tensor], uniforms: Tensor, ends: Sequence[int]) -> list[Tensor]:
    """A reply to each prompt, with its end where it came to one."""
    device = model.device
    order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
    replies: dict[int, Tensor] = {}
    for start in range(0, len(order), _ROWS_AT_ONCE):
        rows = order[start : start + _ROWS_AT_ONCE]
        tokens, mask = _pad_left([prompts[row] for row in rows], device)
        said = model.generate(
            input_ids=tokens,
            attention_mask=mask,
            generation_config=GenerationConfig(
                do_sample=False, max_new_tokens=uniforms.shape[1], eos_token_id=list(ends), pad_token_id=ends[0]
            ),
            logits_processor=LogitsProcessorList([_InverseCdf(uniforms[rows].to(device))]),
        )
        for row, reply in zip(rows, said[:, tokens.shape[1] :].cpu(), strict=True):
            replies[row] = cut_at(reply, torch.tensor(ends))
    return [replies[row] for row in range(len(prompts))]


@torch.no_grad()
def find_divergences(
    policy: Any, speak_as_reference: Speak, prompts: Sequence[Tensor], replies: Sequence[Tensor]
) -> Tensor:
    """Of each reply: the exact divergence from the reference at each of its tokens, summed."""
    found = torch.zeros(len(prompts))
    for rows in split_rows(prompts, replies, count_vocabulary(policy)):
        padded = pad([prompts[row] for row in rows], [replies[row] for row in rows], policy.device)
        mine = find_logits(policy, padded).log_softmax(-1)
        with speak_as_reference() as reference:
            theirs = find_logits(reference, padded).log_softmax(-1)
        found[rows] = sum_rows((mine.exp() * (mine - theirs)).sum(-1), padded).cpu()
    return found


def find_diversity(replies: Sequence[Tensor]) -> float:
    """Of sixteen replies' pairs of neighbouring tokens the share that is not there twice, so many at a time that it
    does not depend on how many are sampled; 1 where nothing is repeated."""
    shares = []
    for start in range(0, len(replies), _REPLIES_COMPARED):
        some = [reply.tolist() for reply in replies[start : start + _REPLIES_COMPARED]]
        pairs = [pair for reply in some for pair in pairwise(reply)]
        if pairs:
            shares.append(len(set(pairs)) / len(pairs))
    return sum(shares) / len(shares) if shares else 1.0


def _pad_left(prompts: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """So that all replies begin at the same place; transformers counts positions by the mask."""
    width = max(map(len, prompts))
    tokens = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = 1
    return tokens.to(device), mask.to(device)

"""Preferences as a model reads them: tokens of the prompt and of both answers, cut where TRL cuts them."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Self

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers.utils import chat_template_utils

from workers.arenas.hf.preferences import Bad, BadRow, Preference

TODAY = (2024, 7, 26)
"""For templates that print the date: the one that those of Llama fall back on. Today's would change the tokens, and
with them the arena, from one day to the next."""


@dataclass(frozen=True)
class Limits:
    """In tokens."""

    max_length: int
    """Of a prompt with an answer."""
    max_new_tokens: int
    max_positions: int | None
    """How far the model can look back, where its configuration says so."""
    vocabulary: int | None
    """How many tokens it knows, likewise."""


@dataclass(frozen=True)
class Pair:
    """Tokens of a row, as 32-bit numbers: lists of Python's take nine times as much."""

    row: Preference
    asked: Tensor
    """The prompt as it is sampled from."""
    prompt: Tensor
    """What it has in common with both texts of prompt and answer: a template may end it otherwise there."""
    chosen: Tensor
    rejected: Tensor


def tokenise(rows: Sequence[Preference], tokenizer: Any, limits: Limits, bad: Bad) -> list[Pair]:
    """Those that can be used, in their order; the others go into `bad`.

    ValueError when the tokenizer cannot read such rows at all.
    """
    if tokenizer.eos_token is None:
        raise ValueError("The tokenizer has no end-of-sequence token; give it one (eos_token).")
    if tokenizer.chat_template is None and any(not isinstance(row.prompt, str) for row in rows):
        raise ValueError("There are rows of messages, and the tokenizer has no chat template; give it one.")
    found = []
    ends_itself = tokenizer("a")["input_ids"][-1:] == [tokenizer.eos_token_id]
    with _on_a_fixed_day():
        for row in rows:
            try:
                found.append(_tokenise_row(row, tokenizer, limits, ends_itself=ends_itself))
            except BadRow as error:
                bad[row.number] = str(error)
    return found


def hash_tokens(pairs: Sequence[Pair]) -> str:
    """Of all that a model is given of them."""
    digest = hashlib.sha256()
    for pair in pairs:
        for tokens in (pair.asked, pair.prompt, pair.chosen, pair.rejected):
            digest.update(len(tokens).to_bytes(8, "little"))
            digest.update(tokens.numpy().tobytes())
    return digest.hexdigest()


class _FixedDay(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(*TODAY, tzinfo=tz)


@contextmanager
def _on_a_fixed_day() -> Iterator[None]:
    """transformers gives templates a `strftime_now` that nothing but its own clock decides."""
    module: Any = chat_template_utils
    clock, module.datetime = module.datetime, _FixedDay
    try:
        yield
    finally:
        module.datetime = clock


def _tokenise_row(row: Preference, tokenizer: Any, limits: Limits, *, ends_itself: bool) -> Pair:
    texts = _render(row, tokenizer)
    # A template writes the special tokens itself.
    is_text = isinstance(row.prompt, str)
    read = tokenizer(texts, add_special_tokens=is_text, return_attention_mask=False)["input_ids"]
    # A prompt that is over has no answer, and an answer is over once.
    asked, chosen, rejected = (each[:-1] for each in read) if is_text and ends_itself else read
    shared = min(_count_shared(asked, chosen), _count_shared(asked, rejected))
    _check(asked, chosen, rejected, shared, limits)
    tokens = (asked, asked[:shared], chosen[shared:], rejected[shared:])
    return Pair(row, *(torch.tensor(each, dtype=torch.int32) for each in tokens))


def _render(row: Preference, tokenizer: Any) -> list[str]:
    """The prompt, and it with either answer."""
    if isinstance(row.prompt, str):
        return [row.prompt, *(f"{row.prompt}{_end(str(each), tokenizer)}" for each in (row.chosen, row.rejected))]
    try:
        asked = tokenizer.apply_chat_template(row.prompt, tokenize=False, add_generation_prompt=True)
        told = [
            tokenizer.apply_chat_template([*row.prompt, *each], tokenize=False) for each in (row.chosen, row.rejected)
        ]
    except TemplateError as error:
        raise BadRow(f"the chat template refuses it: {error}") from error
    except Exception as error:
        # Whatever Python says of what the template does with it.
        raise BadRow(f"the chat template fails on it: {type(error).__name__}: {error}") from error
    return [asked, *told]


def _end(answer: str, tokenizer: Any) -> str:
    return answer if answer.endswith(tokenizer.eos_token) else f"{answer}{tokenizer.eos_token}"


def _count_shared(tokens: list[int], others: list[int]) -> int:
    shared = min(len(tokens), len(others))
    return next((place for place in range(shared) if tokens[place] != others[place]), shared)


def _check(asked: list[int], chosen: list[int], rejected: list[int], shared: int, limits: Limits) -> None:
    if shared == 0:
        raise BadRow("prompt and answers have no token in common at their beginning")
    for name, tokens in (("chosen", chosen), ("rejected", rejected)):
        if len(tokens) == shared:
            raise BadRow(f"{name} has no token of its own behind the prompt")
        _check_length(name, len(tokens), limits)
    if limits.max_positions is not None and len(asked) + limits.max_new_tokens > limits.max_positions:
        raise BadRow(
            f"prompt has {len(asked)} tokens: with max_new_tokens, {limits.max_new_tokens}, more than the "
            f"{limits.max_positions} that the model looks back on"
        )
    largest = max(*asked, *chosen, *rejected)
    if limits.vocabulary is not None and largest >= limits.vocabulary:
        raise BadRow(
            f"has the token {largest}, and the model has embeddings for {limits.vocabulary}, from 0 on: tokenizer and "
            "model do not belong together"
        )


def _check_length(name: str, tokens: int, limits: Limits) -> None:
    if tokens > limits.max_length:
        raise BadRow(f"{name} has {tokens} tokens with its prompt, more than max_length, {limits.max_length}")
    if limits.max_positions is not None and tokens > limits.max_positions:
        raise BadRow(
            f"{name} has {tokens} tokens with its prompt, more than the {limits.max_positions} that the model looks "
            "back on"
        )

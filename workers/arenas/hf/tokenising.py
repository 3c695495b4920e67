"""Preferences as a model reads them: tokens of the prompt and of both answers, cut where TRL cuts them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Protocol, Self, TypeVar

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers.utils import chat_template_utils

from workers.arenas.hf.preferences import Preference
from workers.arenas.hf.questions import Question
from workers.arenas.hf.records import Record
from workers.arenas.hf.rows import Bad, BadRow, Part

Row = TypeVar("Row", Preference, Record, Question)
Answers = Mapping[str, Part]
"""By the names of their columns."""
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
    is_answered: bool = False
    """Whether answers of a policy's own are trained on."""


class Asked(Protocol):
    """A row with a prompt."""

    @property
    def row(self) -> Preference | Record | Question: ...

    @property
    def asked(self) -> Tensor:
        """The prompt as it is sampled from."""

    @property
    def tokens(self) -> tuple[Tensor, ...]:
        """All that a model is given of the row."""


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

    @property
    def tokens(self) -> tuple[Tensor, ...]:
        return self.asked, self.prompt, self.chosen, self.rejected


@dataclass(frozen=True)
class Recorded:
    """The same of a row with one answer."""

    row: Record
    asked: Tensor
    prompt: Tensor
    answer: Tensor

    @property
    def tokens(self) -> tuple[Tensor, ...]:
        return self.asked, self.prompt, self.answer


@dataclass(frozen=True)
class Posed:
    """The same of a row without any."""

    row: Question
    asked: Tensor

    @property
    def tokens(self) -> tuple[Tensor, ...]:
        return (self.asked,)


def tokenise(rows: Sequence[Preference], tokenizer: Any, limits: Limits, bad: Bad) -> list[Pair]:
    """Those that can be used, in their order; the others go into `bad`.

    ValueError when the tokenizer cannot read such rows at all.
    """
    told = ({"chosen": row.chosen, "rejected": row.rejected} for row in rows)
    return [Pair(row, *tokens) for row, tokens in _tokenise(rows, told, tokenizer, limits, bad)]


def tokenise_records(rows: Sequence[Record], tokenizer: Any, limits: Limits, bad: Bad) -> list[Recorded]:
    """The same of rows with one answer, which ends where a policy's own would: a template may write more behind it."""
    told = ({"completion": row.completion} for row in rows)
    found = _tokenise(rows, told, tokenizer, limits, bad)
    end = torch.tensor([tokenizer.eos_token_id])
    return [Recorded(row, asked, prompt, cut_at(answer, end)) for row, (asked, prompt, answer) in found]


def tokenise_questions(rows: Sequence[Question], tokenizer: Any, limits: Limits, bad: Bad) -> list[Posed]:
    """The same of rows without any."""
    told: Iterable[Answers] = ({} for _ in rows)
    return [Posed(row, tokens[0]) for row, tokens in _tokenise(rows, told, tokenizer, limits, bad)]


def _tokenise(
    rows: Sequence[Row], answers: Iterable[Answers], tokenizer: Any, limits: Limits, bad: Bad
) -> Iterator[tuple[Row, list[Tensor]]]:
    """Of each row the prompt as it is sampled from, what it has in common with the answers' texts, and the answers."""
    if tokenizer.eos_token is None:
        raise ValueError("The tokenizer has no end-of-sequence token; give it one (eos_token).")
    if tokenizer.chat_template is None and any(not isinstance(row.prompt, str) for row in rows):
        raise ValueError("There are rows of messages, and the tokenizer has no chat template; give it one.")
    ends_itself = tokenizer("a")["input_ids"][-1:] == [tokenizer.eos_token_id]
    with _on_a_fixed_day():
        for row, told in zip(rows, answers, strict=True):
            try:
                found = _tokenise_row(row.prompt, told, tokenizer, limits, ends_itself=ends_itself)
            except BadRow as error:
                bad[row.number] = str(error)
            else:
                yield row, found


def cut_at(answer: Tensor, ends: Tensor) -> Tensor:
    """Up to the first of these tokens, with it."""
    places = torch.isin(answer, ends).nonzero()
    return answer[: int(places[0]) + 1] if len(places) else answer


def hash_tokens(rows: Sequence[Asked]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        for tokens in row.tokens:
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


def _tokenise_row(prompt: Part, answers: Answers, tokenizer: Any, limits: Limits, *, ends_itself: bool) -> list[Tensor]:
    texts = _render(prompt, list(answers.values()), tokenizer)
    # A template writes the special tokens itself.
    is_text = isinstance(prompt, str)
    read = tokenizer(texts, add_special_tokens=is_text, return_attention_mask=False)["input_ids"]
    # A prompt that is over has no answer, and an answer is over once.
    asked, *told = (each[:-1] for each in read) if is_text and ends_itself else read
    shared = min((_count_shared(asked, each) for each in told), default=len(asked))
    _check(asked, dict(zip(answers, told, strict=True)), shared, limits)
    tokens = (asked, asked[:shared], *(each[shared:] for each in told))
    return [torch.tensor(each, dtype=torch.int32) for each in tokens]


def _render(prompt: Part, answers: Sequence[Part], tokenizer: Any) -> list[str]:
    """The prompt, and it with each answer."""
    if isinstance(prompt, str):
        return [prompt, *(f"{prompt}{_end(str(each), tokenizer)}" for each in answers)]
    try:
        asked = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        told = [tokenizer.apply_chat_template([*prompt, *each], tokenize=False) for each in answers]
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


def _check(asked: list[int], answers: Mapping[str, list[int]], shared: int, limits: Limits) -> None:
    """With the prompt before each answer."""
    if shared == 0:
        raise BadRow("prompt and answers have no token in common at their beginning")
    for name, tokens in answers.items():
        if len(tokens) == shared:
            raise BadRow(f"{name} has no token of its own behind the prompt")
        _check_length(name, len(tokens), limits)
    if limits.is_answered and len(asked) + limits.max_new_tokens > limits.max_length:
        raise BadRow(
            f"prompt has {len(asked)} tokens: with max_new_tokens, {limits.max_new_tokens}, more than max_length,"
            f" {limits.max_length}"
        )
    if limits.max_positions is not None and len(asked) + limits.max_new_tokens > limits.max_positions:
        raise BadRow(
            f"prompt has {len(asked)} tokens: with max_new_tokens, {limits.max_new_tokens}, more than the "
            f"{limits.max_positions} that the model looks back on"
        )
    largest = max(asked + [token for tokens in answers.values() for token in tokens])
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

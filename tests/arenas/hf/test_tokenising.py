"""Tokens of a user's rows."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from tokenizers import processors

from tests.arenas.hf.tiny import make_rows, make_tokenizer
from workers.arenas.hf.preferences import Preference, read_preference
from workers.arenas.hf.rows import Bad
from workers.arenas.hf.tokenising import Limits, Pair, hash_tokens, tokenise

ROOMY = Limits(max_length=1000, max_new_tokens=10, max_positions=None, vocabulary=None)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


def read(style: str, count: int = 4) -> list[Preference]:
    return [read_preference(number, row) for number, row in enumerate(make_rows(count, style=style), start=1)]


def tokens_of(rows: list[Preference], tokenizer: Any, limits: Limits = ROOMY) -> tuple[list[Pair], Bad]:
    bad: Bad = {}
    return tokenise(rows, tokenizer, limits, bad), bad


def test_texts_end_with_the_token_for_the_end(tokenizer: Any) -> None:
    (first, *_), bad = tokens_of(read("standard"), tokenizer)
    assert not bad
    assert tokenizer.decode(first.prompt) == first.row.prompt
    assert tokenizer.decode(first.chosen) == f"{first.row.chosen}</s>"


def test_an_end_that_is_there_is_not_doubled(tokenizer: Any) -> None:
    row = read_preference(1, {"prompt": "Q", "chosen": " yes</s>", "rejected": " no"})
    ((pair,), _) = tokens_of([row], tokenizer)
    assert tokenizer.decode(pair.chosen) == " yes</s>"
    assert tokenizer.decode(pair.rejected) == " no</s>"


def test_a_tokenizer_that_ends_every_text_ends_no_prompt_and_each_answer_once(tokenizer: Any) -> None:
    ending = make_tokenizer()
    ending._tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    (first, *_), bad = tokens_of(read("standard"), ending)
    assert not bad
    assert ending.decode(first.asked) == ending.decode(first.prompt) == f"<s>{first.row.prompt}"
    assert ending.decode(first.chosen) == f"{first.row.chosen}</s>"
    (messages, *_), _ = tokens_of(read("conversational"), ending)
    assert ending.decode(messages.chosen).count("</s>") == 1


def test_messages_are_written_by_the_chat_template(tokenizer: Any) -> None:
    (first, *_), bad = tokens_of(read("conversational"), tokenizer)
    assert not bad
    assert tokenizer.decode(first.asked) == f"<|user|> {first.row.prompt[0]['content']}</s><|assistant|> "  # type: ignore[index]
    assert tokenizer.decode([*first.prompt, *first.chosen]).endswith(f"{first.row.chosen[0]['content']}</s>")  # type: ignore[index]


def test_where_a_template_ends_the_prompt_otherwise_the_answer_begins_where_they_part(tokenizer: Any) -> None:
    thinking = make_tokenizer()
    thinking.chat_template += "{% if add_generation_prompt %}How{% endif %}"
    (pair, *_), _ = tokens_of(read("conversational"), thinking)
    assert len(pair.prompt) < len(pair.asked)
    whole = thinking.apply_chat_template([*pair.row.prompt, *pair.row.chosen], tokenize=False)
    assert thinking.decode([*pair.prompt, *pair.chosen]) == whole


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_length": 9}, "chosen has .* more than max_length, 9"),
        ({"max_positions": 15}, "chosen has .* more than the 15 that the model looks back on"),
        ({"max_length": 9, "max_positions": 15}, "chosen has .* more than max_length, 9"),
        ({"max_new_tokens": 99, "max_positions": 100}, "prompt has .* more than the 100"),
    ],
)
def test_what_is_too_long_is_refused_and_not_cut(tokenizer: Any, limits: dict[str, int], says: str) -> None:
    found, bad = tokens_of(read("standard"), tokenizer, replace(ROOMY, **limits))
    assert not found
    assert len(bad) == 4
    assert all(re.search(says, reason) for reason in bad.values())


def test_a_token_that_the_model_has_no_embedding_for_is_refused_by_row(tokenizer: Any) -> None:
    largest = len(tokenizer) - 1
    last = tokenizer.convert_ids_to_tokens(largest)
    row = {"prompt": "Q", "chosen": tokenizer.convert_tokens_to_string([last]), "rejected": " no"}
    rows = [*read("standard", 1), read_preference(2, row)]
    assert not tokens_of(rows, tokenizer, replace(ROOMY, vocabulary=largest + 1))[1]
    _, bad = tokens_of(rows, tokenizer, replace(ROOMY, vocabulary=largest))
    assert f"has the token {largest}, and the model has embeddings for {largest}" in bad[2]


def test_what_a_template_refuses_is_a_bad_row(tokenizer: Any) -> None:
    strict = make_tokenizer()
    strict.chat_template = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('user first') }}{% endif %}" + (
        strict.chat_template
    )
    row = {"role": "assistant", "content": "I begin"}
    rows = [
        *read("conversational", 1),
        read_preference(2, {"prompt": [row], "chosen": [row], "rejected": [row | {"content": "no"}]}),
    ]
    found, bad = tokens_of(rows, strict)
    assert len(found) == 1
    assert bad == {2: "the chat template refuses it: user first"}


def test_what_a_template_stumbles_over_is_a_bad_row(tokenizer: Any) -> None:
    broken = make_tokenizer()
    broken.chat_template = "{{ messages[0]['content'] + 1 }}"
    _, bad = tokens_of(read("conversational", 1), broken)
    assert bad[1].startswith("the chat template fails on it: TypeError: ")


def test_messages_need_a_template_and_texts_do_not() -> None:
    bare = make_tokenizer(chat=False)
    with pytest.raises(ValueError, match="no chat template"):
        tokens_of(read("conversational"), bare)
    assert tokens_of(read("standard"), bare)[0]


def test_a_tokenizer_without_an_end_is_refused() -> None:
    endless = make_tokenizer()
    endless.eos_token = None
    with pytest.raises(ValueError, match="eos_token"):
        tokens_of(read("standard"), endless)


def test_a_template_that_prints_the_date_prints_the_same_on_every_day() -> None:
    dated = make_tokenizer()
    dated.chat_template = "{{ strftime_now('%d %b %Y %H:%M:%S.%f') }} " + dated.chat_template
    ((first, *_), _) = tokens_of(read("conversational"), dated)
    assert dated.decode(first.prompt).startswith("26 Jul 2024 00:00:00.000000 ")
    told = dated.apply_chat_template(first.row.prompt, tokenize=False)
    assert not told.startswith("26 Jul 2024"), "everybody else has the clock as it is"


def test_the_digest_of_tokens_is_of_each_of_them_and_of_where_a_prompt_ends() -> None:
    row = read("standard")[0]
    one, two, three = (torch.tensor(each, dtype=torch.int32) for each in ([1], [1, 2], [2, 3]))
    pairs = [Pair(row, two, two, three, one), Pair(row, two, one, three, one), Pair(row, one, two, three, one)]
    assert len({hash_tokens([pair]) for pair in pairs} | {hash_tokens(pairs)}) == 4

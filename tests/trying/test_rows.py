"""Each row has one part, rows of one prompt the same one, and what cannot be used is said before anything trains."""

from itertools import chain
from pathlib import Path

import pytest

from discovery_service.errors import UsageError
from tests.arenas.hf.tiny import make_rows, make_tokenizer, write_rows
from workers.arenas.hf.tokenising import Limits
from workers.trying.rows import Parts, read_parts

LIMITS = Limits(max_length=100, max_new_tokens=64, max_positions=128, vocabulary=None)


def read(path: Path, *, batch: int = 4) -> Parts:
    return read_parts(path, make_tokenizer(), LIMITS, batch=batch, prompts=8)


def test_no_prompt_is_in_two_parts_and_no_row_is_lost(tmp_path: Path) -> None:
    rows = make_rows(90)
    others = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows[::3]]
    parts = read(write_rows(tmp_path / "rows.jsonl", rows + others))
    numbers = [[pair.row.number for pair in part] for part in (parts.trained, parts.chosen_by, parts.reported)]
    assert sorted(chain(*numbers)) == list(range(1, 121))
    prompts = [{str(pair.row.prompt) for pair in part} for part in (parts.trained, parts.chosen_by, parts.reported)]
    assert sum(map(len, prompts)) == len(set().union(*prompts))
    assert all(24 <= len(part) <= 26 for part in numbers[2:])
    assert (len(parts.prompted), {str(pair.row.prompt) for pair in parts.prompted} <= prompts[2]) == (8, True)


@pytest.mark.parametrize(
    ("rows", "batch", "sentence"),
    [
        (make_rows(49), 4, "has 49 prompts. A fifth of them is reported on, and at least 10 are needed"),
        (make_rows(60)[:49] + 400 * make_rows(60)[59:], 4, "Some prompt has too many of the rows"),
        ([*make_rows(60), {"prompt": "How ?"}], 4, "1 row cannot be used; row 61: has no chosen"),
        (make_rows(60), 64, "fewer than a batch of 64"),
    ],
    ids=["too few", "one of many rows", "a bad row", "less than a batch"],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(
    rows: list[dict[str, object]], batch: int, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=sentence):
        read(write_rows(tmp_path / "rows.jsonl", rows), batch=batch)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rows\.jsonl cannot be read: No such file"):
        read(tmp_path / "rows.jsonl")

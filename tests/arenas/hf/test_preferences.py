"""Which rows of a user's file can be used, and what is said of the others."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.arenas.hf.tiny import make_rows, write_rows
from workers.arenas.hf.preferences import Preference, read_preferences
from workers.arenas.hf.rows import MAX_TOLD, Bad, BadRows

USER, YES, NO = (
    {"role": role, "content": text} for role, text in (("user", "Q"), ("assistant", "y"), ("assistant", "n"))
)
GOOD = {"prompt": "Q", "chosen": "yes", "rejected": "no"}


def read(tmp_path: Path, *rows: Any) -> tuple[list[Preference], Bad]:
    bad: Bad = {}
    return read_preferences(write_rows(tmp_path / "rows.jsonl", list(rows)), bad), bad


def read_one(tmp_path: Path, row: Any) -> Preference:
    (found,), bad = read(tmp_path, row)
    assert not bad
    return found


def test_a_row_of_texts_is_read_as_it_stands(tmp_path: Path) -> None:
    found = read_one(tmp_path, GOOD | {"annotator": 3, "score_chosen": 8.5})
    assert found == Preference(1, "Q", "yes", "no", 3)


def test_a_row_of_messages_is_read_as_it_stands(tmp_path: Path) -> None:
    found = read_one(tmp_path, {"prompt": [USER], "chosen": [YES], "rejected": [NO]})
    assert (found.prompt, found.chosen, found.rejected, found.annotator) == ([USER], [YES], [NO], -1)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ({"chosen": "Q: yes", "rejected": "Q: no"}, ("Q:", " yes", " no")),
        ({"chosen": "Is it? Yes", "rejected": "Is it? No"}, ("Is it?", " Yes", " No")),
        ({"chosen": [USER, YES], "rejected": [USER, NO]}, ([USER], [YES], [NO])),
        ({"prompt": "Q", "chosen": [USER, YES], "rejected": [USER, NO]}, ([USER], [YES], [NO])),
        ({"prompt": None, "chosen": "ab", "rejected": "ac"}, ("a", "b", "c")),
    ],
)
def test_a_prompt_that_is_not_given_is_what_both_answers_begin_with(
    tmp_path: Path, row: dict[str, Any], parts: tuple[Any, ...]
) -> None:
    found = read_one(tmp_path, row)
    assert (found.prompt, found.chosen, found.rejected) == parts


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "Q", "chosen": "yes"}, "has no rejected"),
        ({"prompt": "Q", "rejected": "no"}, "has no chosen"),
        (GOOD | {"chosen": ""}, "chosen is empty"),
        (GOOD | {"rejected": " \n"}, "rejected is empty"),
        (GOOD | {"prompt": ""}, "prompt is empty"),
        (GOOD | {"rejected": "yes"}, "the same"),
        (GOOD | {"chosen": 3}, "chosen is neither a text nor"),
        (GOOD | {"chosen": [YES]}, "one of chosen and rejected as a text"),
        ({"prompt": [USER], "chosen": "yes", "rejected": "no"}, "the prompt as messages and the answers as texts"),
        ({"prompt": [USER], "chosen": [{"role": "assistant"}], "rejected": [NO]}, "role and content"),
        ({"prompt": [USER], "chosen": [YES | {"content": [{"type": "text"}]}], "rejected": [NO]}, "role and content"),
        ({"prompt": [USER], "chosen": [], "rejected": [NO]}, "chosen is empty"),
        ({"chosen": "yes", "rejected": "no"}, "has no prompt"),
        ({"chosen": [YES], "rejected": [NO]}, "has no prompt"),
        (GOOD | {"chosen": "\ud800 yes"}, "chosen holds half of a pair of surrogates"),
        ({"prompt": [USER | {"role": "\udfff"}], "chosen": [YES], "rejected": [NO]}, "prompt holds half of a pair"),
        (GOOD | {"annotator": "7"}, "annotator"),
        (GOOD | {"annotator": True}, "annotator"),
        (GOOD | {"tools": [{"name": "search"}]}, "tools"),
        (["Q", "yes", "no"], "is no JSON object"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(tmp_path: Path, row: Any, says: str) -> None:
    found, bad = read(tmp_path, GOOD, row)
    assert [each.number for each in found] == [1]
    assert says in bad[2]


SCORED = GOOD | {"chosen_aux": 0, "rejected_aux": -1.5}


def test_auxiliary_scores_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    path, bad = write_rows(tmp_path / "rows.jsonl", [SCORED]), {}
    (found,) = read_preferences(path, bad, with_scores=True)
    assert (found.scores, bad) == ((0.0, -1.5), {})
    assert read_one(tmp_path, SCORED).scores is None


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (GOOD | {"chosen_aux": 1}, "has no rejected_aux"),
        (SCORED | {"chosen_aux": None}, "has no chosen_aux"),
        (SCORED | {"chosen_aux": "high"}, "chosen_aux is no number"),
        (SCORED | {"rejected_aux": True}, "rejected_aux is no number"),
        (SCORED | {"rejected_aux": math.nan}, "rejected_aux is nan, which is not finite"),
        (SCORED | {"chosen_aux": -math.inf}, "chosen_aux is -inf, which is not finite"),
        (SCORED | {"chosen_aux": 10**400}, "which is not finite"),
    ],
)
def test_a_row_whose_scores_cannot_be_used_says_why(tmp_path: Path, row: Any, says: str) -> None:
    bad: Bad = {}
    path = write_rows(tmp_path / "rows.jsonl", [SCORED, row])
    assert [each.number for each in read_preferences(path, bad, with_scores=True)] == [1]
    assert says in bad[2]


@pytest.mark.parametrize("line", [b"{", b'{"prompt": "\xff"}', b"[" * 100_000, b"9" * 5_000])
def test_a_line_that_is_no_json_is_a_bad_row_like_any_other(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\n" + line + b"\n" + json.dumps(GOOD).encode())
    bad: Bad = {}
    assert [each.number for each in read_preferences(path, bad)] == [1, 4]
    assert bad[3].startswith("is no JSON")


def test_bad_rows_are_told_by_number_up_to_twenty(tmp_path: Path) -> None:
    _, bad = read(tmp_path, *make_rows(3), *({} for _ in range(30)))
    told = str(BadRows(Path("rows.jsonl"), bad)).splitlines()
    assert told[0] == "rows.jsonl: 30 rows cannot be used; row 4: has no chosen"
    assert told[-2:] == [f"  row {3 + MAX_TOLD}: has no chosen", "  and 10 more"]
    assert len(told) == MAX_TOLD + 1

"""Preferences as TRL has them: a JSONL whose rows hold a prompt, a chosen and a rejected answer, as texts or messages.

A row without a `prompt`, or with a text for one beside answers in messages, has it as the beginning that both answers
share. With auxiliary scores a row has `chosen_aux` and `rejected_aux` too. Columns that are not named here are left
alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from workers.arenas.hf.rows import Bad, BadRow, Part, check_columns, check_part, read_number, read_part, read_rows

NOBODY = -1
"""The annotator of a row that names none."""


@dataclass(frozen=True)
class Preference:
    number: int
    """Of its line in the file, from 1."""
    prompt: Part
    chosen: Part
    rejected: Part
    annotator: int
    scores: tuple[float, float] | None = None
    """Auxiliary ones, of the chosen and of the rejected answer."""


def read_preferences(path: Path, bad: Bad, *, with_scores: bool = False) -> list[Preference]:
    """Every row that can be read; the others go into `bad`. OSError when there is no such file."""
    return read_rows(path, bad, partial(read_preference, with_scores=with_scores))


def read_preference(number: int, row: Any, *, with_scores: bool = False) -> Preference:
    """Raises BadRow."""
    check_columns(row)
    chosen, rejected = read_part(row, "chosen"), read_part(row, "rejected")
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise BadRow("has one of chosen and rejected as a text and the other as messages")
    prompt = None if row.get("prompt") is None else read_part(row, "prompt")
    if prompt is None or (isinstance(prompt, str) and not isinstance(chosen, str)):
        prompt, chosen, rejected = _split(chosen, rejected)
    elif isinstance(prompt, str) != isinstance(chosen, str):
        raise BadRow("has the prompt as messages and the answers as texts")
    if chosen == rejected:
        raise BadRow("chosen and rejected are the same")
    for name, part in (("prompt", prompt), ("chosen", chosen), ("rejected", rejected)):
        check_part(name, part)
    scores = (read_number(row, "chosen_aux"), read_number(row, "rejected_aux")) if with_scores else None
    return Preference(number, prompt, chosen, rejected, _read_annotator(row), scores)


def _split(chosen: Part, rejected: Part) -> tuple[Part, Part, Part]:
    """The prompt that both begin with, and what follows it: as TRL's `extract_prompt` does it."""
    shared = min(len(chosen), len(rejected))
    place = next((place for place in range(shared) if chosen[place] != rejected[place]), shared - 1)
    if place > 0 and chosen[place] != rejected[place] and chosen[place - 1] == " ":
        place -= 1
    if place <= 0:
        raise BadRow("has no prompt, and its answers have no beginning in common")
    return chosen[:place], chosen[place:], rejected[place:]


def _read_annotator(row: Mapping[str, Any]) -> int:
    annotator = row.get("annotator")
    if annotator is None:
        return NOBODY
    if not isinstance(annotator, int) or isinstance(annotator, bool) or not NOBODY <= annotator < 2**31:
        raise BadRow(f"annotator is no whole number from {NOBODY} on")
    return annotator

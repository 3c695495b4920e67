"""Preferences as TRL has them: a JSONL whose rows hold a prompt, a chosen and a rejected answer, as texts or messages.

A row without a `prompt`, or with a text for one beside answers in messages, has it as the beginning that both answers
share. With auxiliary scores a row has `chosen_aux` and `rejected_aux` too. Columns that are not named here are left
alone.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_TOLD = 20
"""Bad rows that are told one by one; in a file of another format all of them are bad."""
NOBODY = -1
"""The annotator of a row that names none."""
_NOT_SUPPORTED = ("tools", "image", "images", "videos", "chat_template_kwargs")
"""They would change the tokens in ways that are not done here."""

Message = dict[str, Any]
Part = str | list[Message]
Bad = dict[int, str]
"""Why a row cannot be used, by its number."""


class BadRows(ValueError):
    """Nothing is trained on a file that holds such."""

    def __init__(self, path: Path, bad: Mapping[int, str]) -> None:
        first, *others = [f"row {number}: {bad[number]}" for number in sorted(bad)[:MAX_TOLD]]
        # Whoever shows just one line shows one reason.
        count = "1 row" if len(bad) == 1 else f"{len(bad)} rows"
        lines = [f"{path}: {count} cannot be used; {first}", *(f"  {each}" for each in others)]
        if len(bad) > MAX_TOLD:
            lines.append(f"  and {len(bad) - MAX_TOLD} more")
        super().__init__("\n".join(lines))
        self.bad = dict(bad)


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


class BadRow(Exception):
    """One row cannot be used, for the reason that it tells."""


def read_preferences(path: Path, bad: Bad, *, with_scores: bool = False) -> list[Preference]:
    """Every row that can be read; the others go into `bad`. OSError when there is no such file."""
    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                found.append(read_preference(number, _parse(line), with_scores=with_scores))
            except BadRow as error:
                bad[number] = str(error)
    return found


def read_preference(number: int, row: Any, *, with_scores: bool = False) -> Preference:
    """Raises BadRow."""
    if not isinstance(row, dict):
        raise BadRow("is no JSON object")
    for column in _NOT_SUPPORTED:
        if row.get(column):
            raise BadRow(f"has {column}, which is not supported here")
    chosen, rejected = _read_part(row, "chosen"), _read_part(row, "rejected")
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise BadRow("has one of chosen and rejected as a text and the other as messages")
    prompt = None if row.get("prompt") is None else _read_part(row, "prompt")
    if prompt is None or (isinstance(prompt, str) and not isinstance(chosen, str)):
        prompt, chosen, rejected = _split(chosen, rejected)
    elif isinstance(prompt, str) != isinstance(chosen, str):
        raise BadRow("has the prompt as messages and the answers as texts")
    if chosen == rejected:
        raise BadRow("chosen and rejected are the same")
    for name, part in (("prompt", prompt), ("chosen", chosen), ("rejected", rejected)):
        if not _text_of(part).strip():
            raise BadRow(f"{name} is empty")
        if not _is_unicode(part):
            raise BadRow(f"{name} holds half of a pair of surrogates (\\ud800 to \\udfff), which is no character")
    scores = (_read_number(row, "chosen_aux"), _read_number(row, "rejected_aux")) if with_scores else None
    return Preference(number, prompt, chosen, rejected, _read_annotator(row), scores)


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"is no JSON: {error}") from error


def _read_part(row: Mapping[str, Any], column: str) -> Part:
    if row.get(column) is None:
        raise BadRow(f"has no {column}")
    value = row[column]
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(map(_is_message, value)):
        raise BadRow(f"{column} is neither a text nor a list of messages with role and content in texts")
    return value


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)


def _split(chosen: Part, rejected: Part) -> tuple[Part, Part, Part]:
    """The prompt that both begin with, and what follows it: as TRL's `extract_prompt` does it."""
    shared = min(len(chosen), len(rejected))
    place = next((place for place in range(shared) if chosen[place] != rejected[place]), shared - 1)
    if place > 0 and chosen[place] != rejected[place] and chosen[place - 1] == " ":
        place -= 1
    if place <= 0:
        raise BadRow("has no prompt, and its answers have no beginning in common")
    return chosen[:place], chosen[place:], rejected[place:]


def _text_of(part: Part) -> str:
    return part if isinstance(part, str) else "".join(message["content"] for message in part)


def _is_unicode(part: Part) -> bool:
    """JSON can escape what is no text; in a message a template may print any of its fields."""
    try:
        json.dumps(part, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_number(row: Mapping[str, Any], column: str) -> float:
    value = row.get(column)
    if value is None:
        raise BadRow(f"has no {column}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(f"{column} is no number")
    # JSON of Python's own has NaN and Infinity, and numbers that are larger than any float.
    try:
        is_finite = math.isfinite(value)
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise BadRow(f"{column} is {str(value)[:20]}, which is not finite")
    return float(value)


def _read_annotator(row: Mapping[str, Any]) -> int:
    annotator = row.get("annotator")
    if annotator is None:
        return NOBODY
    if not isinstance(annotator, int) or isinstance(annotator, bool) or not NOBODY <= annotator < 2**31:
        raise BadRow(f"annotator is no whole number from {NOBODY} on")
    return annotator

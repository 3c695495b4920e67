"""Rows of an operator's file, a JSON object a line: what can be read of them, and what is said of the others."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

MAX_TOLD = 20
"""Bad rows that are told one by one; in a file of another format all of them are bad."""
LARGEST = 1e12
"""A number either way: what is larger leaves float32 once it is squared and multiplied."""
_NOT_SUPPORTED = ("tools", "image", "images", "videos", "chat_template_kwargs")
"""They would change the tokens in ways that are not done here."""

Message = dict[str, Any]
Part = str | list[Message]
Bad = dict[int, str]
"""Why a row cannot be used, by its number."""
Row = TypeVar("Row")


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


class BadRow(Exception):
    """One row cannot be used, for the reason that it tells."""


def read_rows(path: Path, bad: Bad, read: Callable[[int, Any], Row]) -> list[Row]:
    """By `read`, which is given a line's number from 1 and what it holds, and raises BadRow. OSError when there is no
    such file."""
    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                found.append(read(number, _parse(line)))
            except BadRow as error:
                bad[number] = str(error)
    return found


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line.strip())
    except json.JSONDecodeError as error:
        raise BadRow(f"is no JSON: {error.msg}, at character {error.pos + 1}") from error
    except UnicodeDecodeError as error:
        raise BadRow(f"is no JSON: byte {error.start + 1} is not of UTF-8") from error
    except ValueError as error:
        raise BadRow("is no JSON that can be read: a number has thousands of digits") from error
    except RecursionError as error:
        raise BadRow("is no JSON that can be read: it is nested too deep") from error


def check_columns(row: Any) -> None:
    if not isinstance(row, dict):
        raise BadRow("is no JSON object")
    for column in _NOT_SUPPORTED:
        if row.get(column):
            raise BadRow(f"has {column}, which is not supported here")


def read_part(row: Mapping[str, Any], column: str) -> Part:
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


def check_part(name: str, part: Part) -> None:
    if not _text_of(part).strip():
        raise BadRow(f"{name} is empty")
    if not _is_unicode(part):
        raise BadRow(f"{name} holds half of a pair of surrogates (\\ud800 to \\udfff), which is no character")


def _text_of(part: Part) -> str:
    return part if isinstance(part, str) else "".join(message["content"] for message in part)


def _is_unicode(part: Part) -> bool:
    """JSON can escape what is no text; in a message a template may print any of its fields."""
    try:
        json.dumps(part, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_number(row: Mapping[str, Any], column: str) -> float:
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
    if abs(value) > LARGEST:
        raise BadRow(f"{column} is {float(value):g}, and beyond {LARGEST:g} either way nothing is computed: scale it")
    return float(value)

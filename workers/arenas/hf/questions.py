"""Prompts that a policy answers itself while it trains: a JSONL whose rows hold a prompt.

Columns that are not named here are left alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.arenas.hf.rows import Bad, Part, check_columns, check_part, read_part, read_rows


@dataclass(frozen=True)
class Question:
    number: int
    """Of its line in the file, from 1."""
    prompt: Part


def read_questions(path: Path, bad: Bad) -> list[Question]:
    """Every row that can be read; the others go into `bad`. OSError when there is no such file."""
    return read_rows(path, bad, read_question)


def read_question(number: int, row: Any) -> Question:
    """Raises BadRow."""
    check_columns(row)
    prompt = read_part(row, "prompt")
    check_part("prompt", prompt)
    return Question(number, prompt)

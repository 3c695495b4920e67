"""Recorded answers with what came of them: a JSONL whose rows hold a prompt, a completion and an outcome.

How likely the completion was given is `behavior_logp`, in nats, or `propensity`.
Columns that are not named here are left alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.arenas.hf.rows import Bad, BadRow, Part, check_columns, check_part, read_number, read_part, read_rows


@dataclass(frozen=True)
class Record:
    number: int
    """Of its line in the file, from 1."""
    prompt: Part
    completion: Part
    outcome: float
    behavior_logp: float


def read_records(path: Path, bad: Bad) -> list[Record]:
    """Every row that can be read; the others go into `bad`. OSError when there is no such file."""
    return read_rows(path, bad, read_record)


def read_record(number: int, row: Any) -> Record:
    """Raises BadRow."""
    check_columns(row)
    prompt, completion = read_part(row, "prompt"), read_part(row, "completion")
    if isinstance(prompt, str) != isinstance(completion, str):
        raise BadRow("has one of prompt and completion as a text and the other as messages")
    check_part("prompt", prompt)
    check_part("completion", completion)
    return Record(number, prompt, completion, read_number(row, "outcome"), _read_log_propensity(row))


def _read_log_propensity(row: Mapping[str, Any]) -> float:
    if row.get("behavior_logp") is not None and row.get("propensity") is not None:
        raise BadRow("has both behavior_logp and propensity: keep one of them")
    if row.get("behavior_logp") is None and row.get("propensity") is None:
        raise BadRow("has neither propensity nor behavior_logp")
    if row.get("propensity") is None:
        told = read_number(row, "behavior_logp")
        if told > 0:
            raise BadRow(f"behavior_logp is {told:.10g}: a log-probability is not above 0")
        return told
    propensity = read_number(row, "propensity")
    if not 0 < propensity <= 1:
        raise BadRow(
            f"propensity is {propensity:.10g}: an answer that was given had a chance above 0, and of 1 at most"
        )
    return math.log(propensity)

"""A user's preferences in three parts: to train on, to choose a setting by, and to report on what nobody has seen.

Rows of one prompt stay together, so that no prompt of a later part is known from an earlier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from discovery_service.errors import UsageError
from workers.arenas.hf.division import divide, group_by_prompt
from workers.arenas.hf.preferences import read_preferences
from workers.arenas.hf.rows import Bad, BadRows
from workers.arenas.hf.tokenising import Limits, Pair, tokenise

_HELD_OUT = 0.2
"""Of all rows those that are reported on; of the others, again, those by which a setting is chosen."""
FEWEST_PROMPTS = 10
"""Reported on: over fewer an interval says next to nothing."""


@dataclass(frozen=True)
class Parts:
    trained: list[Pair]
    chosen_by: list[Pair]
    reported: list[Pair]
    prompted: list[Pair]
    """Of those reported on, so many as replies are sampled to, each with a prompt of its own."""


def read_parts(path: Path, tokenizer: Any, limits: Limits, *, batch: int, prompts: int) -> Parts:
    """UsageError where a row cannot be used, or where they are too few."""
    bad: Bad = {}
    try:
        pairs = tokenise(read_preferences(path, bad), tokenizer, limits, bad)
        if bad:
            raise BadRows(path, bad)
        return _divide(path, pairs, batch, prompts)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _divide(path: Path, pairs: Sequence[Pair], batch: int, prompts: int) -> Parts:
    groups = len(group_by_prompt(pairs))
    if groups * _HELD_OUT < FEWEST_PROMPTS:
        raise UsageError(
            f"{path} has {groups} prompts. A fifth of them is reported on, and at least {FEWEST_PROMPTS} are needed for"
            f" that: bring rows with {round(FEWEST_PROMPTS / _HELD_OUT)} prompts or more."
        )
    first = divide(pairs, Draw(Purpose.CALIBRATE, "try"), held_out=_HELD_OUT, prompts=prompts, batch=batch)
    reported = len(group_by_prompt([pairs[row] for row in first.held_out]))
    if reported < FEWEST_PROMPTS:
        raise UsageError(
            f"A fifth of the rows of {path} would be reported on, and they have {reported} prompts: at least"
            f" {FEWEST_PROMPTS} are needed. Some prompt has too many of the rows."
        )
    rest = [pairs[row] for row in first.trained]
    second = divide(rest, Draw(Purpose.CALIBRATE, "try, to choose by"), held_out=_HELD_OUT, prompts=1, batch=batch)
    return Parts(
        trained=[rest[row] for row in second.trained],
        chosen_by=[rest[row] for row in second.held_out],
        reported=[pairs[row] for row in first.held_out],
        prompted=[pairs[row] for row in first.prompted],
    )

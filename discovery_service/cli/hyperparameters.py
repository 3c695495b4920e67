"""`--set NAME=NUMBER`: numbers for what a source leaves open, as losses do that were published as methods."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from discovery_service.errors import UsageError
from discovery_service.losses.source.constants import is_within_bounds

Given = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=NUMBER", help="Of a hyper-parameter without a value in FILE. Repeatable."),
]


def read_given(given: Sequence[str] | None) -> dict[str, float]:
    """UsageError for what is no name with a number, or names one twice."""
    values: dict[str, float] = {}
    for each in given or ():
        name, _, text = (part.strip() for part in each.partition("="))
        value = _read_number(text)
        if not name.isidentifier() or value is None:
            raise UsageError(f"--set {each} is no name with a number: write it as in --set label_smoothing=0.1.")
        if name in values:
            raise UsageError(f"--set {name} is given twice.")
        values[name] = value
    return values


def _read_number(text: str) -> float | None:
    for kind in (int, float):
        with suppress(ValueError):
            if is_within_bounds(number := kind(text)):
                return number
    return None

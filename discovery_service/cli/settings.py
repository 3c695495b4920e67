"""`discovery settings …`: what the commands and services here would run with."""

from collections.abc import Iterator
from typing import Any

import typer

from discovery_service.cli.output import AsJson, print_json, print_table
from discovery_service.settings import get_settings

group = typer.Typer(no_args_is_help=True, help="What is set, and how.")


@group.callback()
def settings() -> None:
    """What is set, and how."""


@group.command()
def show(as_json: AsJson = False) -> None:
    """Print every setting with the variable that sets it; secrets are hidden."""
    tree = get_settings().redacted()
    if as_json:
        print_json(tree)
    else:
        print_table(("variable", "value"), _rows("DISCOVERY", tree))


def _rows(prefix: str, tree: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        variable = f"{prefix}__{name.upper()}"
        if isinstance(value, dict):
            yield from _rows(variable, value)
        else:
            yield variable, "not set" if value is None else value

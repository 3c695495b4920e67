"""What commands print: tables for people or JSON for machines on stdout, sentences on stderr."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel

from discovery_service.client import FieldError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.tree import Tree

_IS_JSON = "discovery_service.cli.is_json"
# Into a pipe or a file: so wide that no cell is cut or broken over two lines.
PIPED_WIDTH = 1000


def _remember(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[_IS_JSON] = value
    return value


AsJson = Annotated[bool, typer.Option("--json", callback=_remember, help="Print JSON, for machines.")]


def is_json(ctx: Any) -> bool:
    """Whether the command that ran below this context was asked for JSON."""
    return bool(ctx.meta.get(_IS_JSON))


def as_plain(model: BaseModel) -> dict[str, Any]:
    """As the service sent it, fields that this version does not know included."""
    return model.model_dump(mode="json", exclude_unset=True)


def print_json(value: Any) -> None:
    typer.echo(_as_json(value, indent=2))


def print_json_line(value: Any) -> None:
    typer.echo(_as_json(value))


def _as_json(value: Any, **how: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, **how)
    return text if _shown_here(text) == text else json.dumps(value, **how)


def print_line(text: str) -> None:
    typer.echo(_shown_here(text))


def _shown_here(text: str) -> str:
    """For what stdout's encoding lacks, as Latin-1 lacks beta, stands its name."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "namereplace").decode(encoding)


def say(sentence: str) -> None:
    typer.echo(printable(sentence), err=True)


def say_fields(errors: Iterable[FieldError]) -> None:
    for each in errors:
        say(f"  {each.field}: {each.message}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table with a head. Cells of the first column are names to copy, so they are never cut."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    _print(table, rows)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """One thing: a line for each of its fields that has something to say."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    _print(table, [field for field in fields if field[1] not in (None, "")])


def print_code(text: str, language: str) -> None:
    """Coloured on a terminal; elsewhere plain, so that it can be kept in a file."""
    from rich.syntax import Syntax

    # Neither end of a line nor tab is printable, and both stand in sources.
    told = printable(text.replace("\r\n", "\n").expandtabs()).rstrip("\n")
    console = _make_console()
    if console.is_terminal:
        console.print(Syntax(told, language, theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        print_line(told)


def print_tree(tree: "Tree") -> None:
    _make_console().print(tree)


def _print(table: Any, rows: Iterable[Sequence[object]]) -> None:
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    _make_console().print(table)


def _make_console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def shown(value: object) -> str:
    """A cell: times in the zone of whoever reads."""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Names and notes come from others; none of their characters may steer this terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)

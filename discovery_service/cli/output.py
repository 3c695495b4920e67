"""What commands print: tables for people or JSON for machines on stdout, sentences on stderr."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
# As wide as a figure with its interval: on a terminal no cell is broken that is no wider.
_WHOLE_WIDTH = 24
# What is wider is made no narrower than its longest words, as `distinguishable`; a time, than its day.
_WORD_WIDTH = 15
_DAY_WIDTH = 10
_GAP = 2


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


@dataclass(frozen=True)
class _Column:
    name: str
    cells: Sequence[object]
    width: int
    floor: int
    """As wide it is read well."""
    least: int
    """Made narrower than this, it is broken within words and figures."""


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, spare: Sequence[str] = ()) -> None:
    """A table with a head. Cells of the first column are names to copy, figures are read at a glance: neither breaks.

    On a terminal too narrow for it, columns to spare are left out, the first of them first, and that is said; where
    that is not enough, the widest cells break after all.
    """
    from rich.table import Table

    by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
    named = zip(columns, by_column, strict=True)
    kept = [_measure(name, cells, is_first=not at) for at, (name, cells) in enumerate(named)]
    limit, left_out = _make_console().width, []
    for name in spare:
        found = next((column for column in kept if column.name == name), None)
        if found is not None and not _fit([column.floor for column in kept], limit):
            kept.remove(found)
            left_out.append(name)
    table = Table(box=None, pad_edge=False, header_style="bold")
    unbroken = _fit([column.least for column in kept], limit)
    for column in kept:
        table.add_column(column.name, no_wrap=unbroken and column.least == column.width, overflow="fold")
    _print(table, zip(*(column.cells for column in kept), strict=True))
    if left_out:
        said = ", ".join(name for name in left_out if name)
        typer.echo(printable(f"The terminal is too narrow for {said}; `| less -S` shows every column."))


def _fit(widths: Sequence[int], limit: int) -> bool:
    return sum(widths) + _GAP * (len(widths) - 1) <= limit


def _measure(name: str, cells: Sequence[object], *, is_first: bool) -> _Column:
    from rich.cells import cell_len

    width = max(cell_len(line) for cell in (name, *cells) for line in shown(cell).split("\n"))
    if any(isinstance(cell, datetime) for cell in cells):
        return _Column(name, cells, width, _DAY_WIDTH, _DAY_WIDTH)
    if is_first or width <= _WHOLE_WIDTH:
        return _Column(name, cells, width, width, width)
    return _Column(name, cells, width, _WHOLE_WIDTH, _WORD_WIDTH)


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

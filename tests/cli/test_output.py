"""Tables as they look on terminals of several widths, and in a pipe."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from rich.text import Text

from discovery_service.cli.output import print_table

NAME, FIGURE, VERDICT = "trust_annotator_zero_1_2", "+0.314 [+0.228, +0.401]", "not distinguishable from robust_dpo"
COLUMNS = ("name", "difference", "verdict", "seen", "cost")
ROW = (NAME, FIGURE, VERDICT, datetime(2026, 11, 23, 9, 0, tzinfo=UTC), "26 trainings, 134 s")
SPARE = ("cost", "seen")
Printed = Callable[[int | None], list[str]]


@pytest.fixture
def print_at(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    def print_it(width: int | None) -> list[str]:
        if width is not None:
            monkeypatch.setenv("TTY_COMPATIBLE", "1")
            monkeypatch.setenv("COLUMNS", str(width))
        print_table(COLUMNS, [ROW], spare=SPARE)
        return Text.from_ansi(capsys.readouterr().out).plain.splitlines()

    return print_it


def test_in_a_pipe_a_row_is_a_line_with_every_column(print_at: Printed) -> None:
    head, row = print_at(None)
    assert head.split() == list(COLUMNS)
    assert all(cell in row for cell in (NAME, FIGURE, VERDICT, "134 s"))


@pytest.mark.parametrize("width", [130, 110, 95, 72])
def test_on_a_terminal_nothing_is_wider_than_it_and_neither_names_nor_figures_break(
    print_at: Printed, width: int
) -> None:
    told = print_at(width)
    table = [line for line in told if not line.startswith("The terminal")]
    assert max(len(line.rstrip()) for line in table) <= width
    assert sum(NAME in line and FIGURE in line for line in table) == 1
    assert "distinguishable" in "\n".join(told)


def test_what_is_left_out_goes_in_its_order_and_is_named(print_at: Printed) -> None:
    assert not any("too narrow" in line for line in print_at(130))
    assert print_at(95)[-1] == "The terminal is too narrow for cost; `| less -S` shows every column."
    assert print_at(72)[-1] == "The terminal is too narrow for cost, seen; `| less -S` shows every column."


def test_on_a_terminal_too_narrow_for_what_is_left_all_of_it_is_there(print_at: Printed) -> None:
    told = print_at(40)
    assert max(map(len, told[:-1])) <= 40
    joined = "".join("".join(told).split())
    assert all(word in joined for word in ("+0.314", "[+0.228,", "+0.401]"))

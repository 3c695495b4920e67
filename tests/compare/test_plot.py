"""The picture of a comparison is made of whatever a comparison says, and refused before anything is trained."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from discovery_service.errors import UsageError
from tests.compare.answers import BETTER, SAME, WORSE, answer, at_two, failed, loss
from workers.compare import plot as plotting
from workers.compare.plot import check_plot, plot

needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


@needs_matplotlib
def test_a_row_for_each_loss_makes_it_higher(tmp_path: Path) -> None:
    every = [loss("mine", 0.43, BETTER), loss("slic", -0.2, WORSE), loss("ipo", 0.01, SAME), failed("bad")]
    every.append(loss("none", status="untuned", setting=None, metrics={}))
    every[2] = at_two(every[2])
    plot(answer(every[0]), tmp_path / "one.png")
    plot(answer(*every), tmp_path / "five.png")
    one, five = (size_of((tmp_path / name).read_bytes()) for name in ("one.png", "five.png"))
    assert one[0] == five[0] > 1000
    assert one[1] < five[1] < 1000


@needs_matplotlib
@pytest.mark.parametrize("name", ["$a$ $", "$\\frac{$", "a\nb", "Ω_{x}^", "\\frac{"])
def test_no_name_is_read_as_a_formula(tmp_path: Path, name: str) -> None:
    told = answer(loss(name, 0.43, BETTER), against=name)
    plot(told, tmp_path / "odd.png")
    assert size_of((tmp_path / "odd.png").read_bytes())


@needs_matplotlib
def test_verdicts_differ_in_more_than_their_colour() -> None:
    looks = plotting._LOOKS.values()
    assert len({colour for colour, _ in looks}) == len({mark for _, mark in looks}) == 3


@needs_matplotlib
def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    check_plot(tmp_path / "new.png")
    (tmp_path / "old.png").touch()
    check_plot(tmp_path / "old.png")
    for file in (tmp_path, tmp_path / "no" / "folder.png", tmp_path / "old.png" / "below.png"):
        with pytest.raises(UsageError, match="cannot be written"):
            check_plot(file)


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plotting, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'discovery-service\[plot\]'"):
        check_plot(tmp_path / "new.png")

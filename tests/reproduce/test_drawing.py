"""Pictures of reproductions are made of whatever was measured, and tell what they show apart."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from discovery_service.domain.intervals import Interval
from workers.reproduce import drawing
from workers.reproduce.drawing import Curve, Place, Trace, draw_bars, draw_curves, draw_places, draw_traces

ONE = Interval(1.0, None, None, 1)
FIVE = Interval(2.0, 1.5, 2.5, 5)


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")
def test_each_picture_is_made_also_of_one_seed(tmp_path: Path) -> None:
    draw_curves(tmp_path / "a.png", [Curve("it", (1, 10), (ONE, FIVE))], title="t", x="x", y="y")
    draw_places(tmp_path / "b.png", [Place("it", ONE, FIVE)], title="t", x="x", y="y")
    draw_bars(tmp_path / "c.png", [("it", ONE), ("other", FIVE)], title="t", y="y")
    draw_traces(tmp_path / "d.png", [Trace("it", (ONE, FIVE), (FIVE, ONE))], title="t", x="x", y="y")
    for each in tmp_path.iterdir():
        assert each.read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 4


def test_no_two_things_of_a_picture_look_alike() -> None:
    looks = [drawing._look(number) for number in range(49)]
    assert len({(each["color"], each["marker"]) for each in looks}) == 49

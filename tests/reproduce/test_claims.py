"""A claim's two verdicts: its sign by the whole interval, how much of it by the figure."""

import pytest

from discovery_service.domain.intervals import find_share_interval
from workers.reproduce.claims import Claims, Line, tabulate

CLAIMS = Claims("paper", is_quick=False)


@pytest.mark.parametrize(
    ("values", "line", "direction", "magnitude"),
    [
        ([0.5, 0.6, 0.7], Line(at_least=0.5), True, True),
        ([0.2, 0.3, 0.4], Line(at_least=0.5), True, False),
        ([-5.0, 1.0, 6.0], Line(at_least=0.5), False, True),
        ([-0.5, -0.6, -0.7], Line(at_least=0.5), False, False),
        ([-0.5, -0.6, -0.7], Line(at_most=-0.5), True, True),
        ([-0.5, -0.6, -0.7], Line(at_least=-0.7, at_most=-0.25), True, True),
        ([0.5, 0.6, 0.7], Line(at_least=0.5, neutral=None), None, True),
        ([0.5, 0.6, 0.7], Line(at_most=0.5, neutral=None), None, False),
        ([0.6, 0.61, 0.62], Line(at_least=0.7, neutral=0.5), True, False),
    ],
)
def test_a_sign_wants_the_whole_interval_and_a_line_the_mean(
    values: list[float], line: Line, direction: bool | None, magnitude: bool
) -> None:
    told = CLAIMS.of_mean("it does", values, line)
    assert (told.direction, told.magnitude) == (direction, magnitude)


@pytest.mark.parametrize(
    ("values", "line", "why"),
    [
        ([0.5, 0.6, 0.7], Line(at_least=0.5), ""),
        ([0.2, 0.3, 0.4], Line(at_least=0.5), "the effect is smaller than the line asks"),
        ([-5.0, 1.0, 6.0], Line(at_least=0.5), "not told from no effect, over 3, though its mean reaches the line"),
        ([-0.5, -0.6, -0.7], Line(at_least=0.5), "the effect is the other way round"),
        ([0.5, 0.6, 0.7], Line(at_most=0.5, neutral=None), "it does not come to the line"),
        ([0.7], Line(at_least=0.5), "too few draws for an interval, though its mean reaches the line"),
    ],
)
def test_what_does_not_hold_says_how(values: list[float], line: Line, why: str) -> None:
    told = CLAIMS.of_mean("it does", values, line, note="elsewhere")
    assert told.document()["note"] == (f"{why}; elsewhere" if why else "elsewhere")


def test_of_one_seed_no_sign_is_told() -> None:
    told = CLAIMS.of_mean("it does", [0.7], Line(at_least=0.5))
    assert (told.direction, told.magnitude) == (False, True)
    assert told.document()["interval"] == {"low": None, "high": None, "draws": 1}


@pytest.mark.parametrize(
    ("line", "halved"),
    [
        (Line(at_least=0.5), Line(at_least=0.25)),
        (Line(at_most=-0.5), Line(at_most=-0.25)),
        (Line(at_least=0.7, neutral=0.5), Line(at_least=0.6, neutral=0.5)),
        (Line(-1.0, 3.0), Line(-3.0, 5.0)),
        (Line(at_least=0.3, neutral=None), Line(at_least=0.15, neutral=None)),
        (Line(at_most=3.0, neutral=None), Line(at_most=6.0, neutral=None)),
    ],
)
def test_few_seeds_are_held_to_half_of_it(line: Line, halved: Line) -> None:
    found, expected = line.halved().document(), halved.document()
    assert found == pytest.approx(expected)
    assert Claims("paper", is_quick=True).of_mean("it does", [1.0], line).line == line.halved()


def test_a_share_has_wilsons_interval() -> None:
    # As statsmodels' proportion_confint has them.
    for parts, whole, low, high in ((8, 8, 0.6756, 1.0), (0, 10, 0.0, 0.2775), (3, 5, 0.2307, 0.8824)):
        found = find_share_interval(parts, whole)
        assert (found.mean, found.draws) == (parts / whole, whole)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_what_is_computed_has_its_sign_without_any_draw() -> None:
    told = CLAIMS.of_computed("it rises, by", 0.784, Line(at_least=0.7))
    assert (told.direction, told.magnitude) == (True, True)
    assert told.document()["interval"] == {"low": 0.784, "high": 0.784, "draws": 0}
    ((_, direction, _, figure, *_),) = tabulate([told.document()])
    assert (direction, figure) == ("holds", "0.7840 (computed)")


def test_what_is_not_measured_has_no_figure_and_no_verdict_but_a_reason() -> None:
    told = CLAIMS.not_measured("it helps, by", Line(at_least=0.0), figure_paper="a lot", why="nobody has looked")
    document = told.document()
    assert (document["figure"], document["interval"]) == (None, None)
    assert (document["direction"], document["magnitude"], document["note"]) == (None, None, "nobody has looked")
    ((_, *verdicts, figure, threshold, paper, _, note),) = tabulate([document])
    assert verdicts == ["not measured", "not measured"]
    assert (figure, threshold, paper, note) == ("none", "at least 0.000", "a lot", "nobody has looked")

"""The pictures of reproductions, as PNG. matplotlib is an extra, and imported only here."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discovery_service.domain.intervals import Interval
from discovery_service.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's, which colour-blind people tell apart; the marks say the same without any colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#767676")
_MARKS = "o^sDvPX"


@dataclass(frozen=True)
class Curve:
    """A line through intervals."""

    name: str
    at: Sequence[float]
    intervals: Sequence[Interval]


@dataclass(frozen=True)
class Place:
    """A loss where it stands by two figures, each with its interval."""

    name: str
    x: Interval
    y: Interval


@dataclass(frozen=True)
class Trace:
    """A line through places, in their order."""

    name: str
    x: Sequence[Interval]
    y: Sequence[Interval]


def check_plots(folder: Path) -> None:
    """Before anything is trained; makes the folder. UsageError where no picture could be made or kept."""
    if find_spec("matplotlib") is None:
        raise UsageError("--plots needs matplotlib: pip install 'discovery-service[plot]'.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--plots: {folder} cannot be made: {error.strerror}.") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"--plots: nothing can be written into {folder}.")


def draw_curves(file: Path, curves: Sequence[Curve], *, title: str, x: str, y: str) -> None:
    """Over a scale of powers, both ways."""
    with _draw(file, title, x, y) as axes:
        for number, curve in enumerate(curves):
            means = [each.mean for each in curve.intervals]
            axes.errorbar(curve.at, means, yerr=_find_errors(curve.intervals), label=curve.name, **_look(number))
        axes.set_xscale("log")
        axes.set_yscale("log")


def draw_places(file: Path, places: Sequence[Place], *, title: str, x: str, y: str) -> None:
    with _draw(file, title, x, y) as axes:
        for number, place in enumerate(places):
            across, up = _find_errors([place.x]), _find_errors([place.y])
            axes.errorbar([place.x.mean], [place.y.mean], xerr=across, yerr=up, label=place.name, **_look(number))


def draw_traces(file: Path, traces: Sequence[Trace], *, title: str, x: str, y: str) -> None:
    with _draw(file, title, x, y) as axes:
        for number, trace in enumerate(traces):
            across, up = ([each.mean for each in side] for side in (trace.x, trace.y))
            wide, high = _find_errors(trace.x), _find_errors(trace.y)
            axes.errorbar(across, up, xerr=wide, yerr=high, label=trace.name, elinewidth=0.5, **_look(number))


def draw_bars(file: Path, bars: Sequence[tuple[str, Interval]], *, title: str, y: str) -> None:
    with _draw(file, title, "", y) as axes:
        names, intervals = zip(*bars, strict=True)
        means = [each.mean for each in intervals]
        axes.bar(range(len(bars)), means, yerr=_find_errors(intervals), color=_COLOURS[0], capsize=4)
        axes.axhline(0, color="black", linewidth=1)
        axes.set_xticks(range(len(bars)), names, fontsize=8)


@contextmanager
def _draw(file: Path, title: str, x: str, y: str) -> "Iterator[Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.0), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    yield axes
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(linewidth=0.5, alpha=0.5)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    try:
        FigureCanvasAgg(figure).print_png(file)
    except OSError as error:
        raise UsageError(f"--plots: {file} cannot be written: {error.strerror}.") from error


def _look(number: int) -> dict[str, Any]:
    """Of the so many-th thing of a picture; no two of 49 have both in common."""
    mark = _MARKS[(number + number // len(_COLOURS)) % len(_MARKS)]
    return {"color": _COLOURS[number % len(_COLOURS)], "marker": mark, "capsize": 3.0}


def _find_errors(intervals: Sequence[Interval]) -> list[list[float]]:
    """How far each bound lies from its mean, the lower ones first."""
    down = [0.0 if each.low is None else each.mean - each.low for each in intervals]
    up = [0.0 if each.high is None else each.high - each.mean for each in intervals]
    return [down, up]

"""A claim of a paper beside what was measured of it, and the two verdicts: its sign, and how much of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from discovery_service.domain.figures import show, show_interval
from discovery_service.domain.intervals import Interval, find_interval, find_share_interval


@dataclass(frozen=True)
class Line:
    """What a figure has to reach."""

    at_least: float | None = None
    at_most: float | None = None
    neutral: float | None = 0.0
    """What the figure is where there is no effect; None of a level, which has no sign."""

    def halved(self) -> "Line":
        """Half as far from no effect; a band twice as wide; of a level, half of what it must reach, twice what it may.

        For runs of few seeds, whose means wander farther.
        """
        least, most = self.at_least, self.at_most
        if least is not None and most is not None:
            middle = (least + most) / 2
            least, most = _move(least, middle, 2.0), _move(most, middle, 2.0)
        elif self.neutral is not None:
            least, most = _move(least, self.neutral, 0.5), _move(most, self.neutral, 0.5)
        else:
            least, most = _move(least, 0.0, 0.5), _move(most, 0.0, 2.0)
        return Line(least, most, self.neutral)

    def is_reached(self, figure: float) -> bool:
        return (self.at_least is None or figure >= self.at_least) and (self.at_most is None or figure <= self.at_most)

    def has_sign(self, interval: Interval) -> bool | None:
        """Whether the whole interval lies on the line's side of no effect; None where there is no side."""
        if self.neutral is None:
            return None
        if interval.low is None or interval.high is None:
            return False
        is_above = self.at_least is not None and self.at_least >= self.neutral
        return interval.low > self.neutral if is_above else interval.high < self.neutral

    def document(self) -> dict[str, float]:
        bounds = {"at_least": self.at_least, "at_most": self.at_most}
        return {name: value for name, value in bounds.items() if value is not None}


def _move(value: float | None, centre: float, share: float) -> float | None:
    return None if value is None else centre + (value - centre) * share


@dataclass(frozen=True)
class Claim:
    paper: str
    claim: str
    figure_paper: str | None
    """As the paper tells it; None where it could not be had."""
    interval: Interval | None
    """Of a figure that was computed, without any draw, both bounds are the figure; None where nothing was measured."""
    line: Line
    note: str = ""
    """Why it came out so, or what the figure does not say."""

    @property
    def direction(self) -> bool | None:
        return None if self.interval is None else self.line.has_sign(self.interval)

    @property
    def magnitude(self) -> bool | None:
        return None if self.interval is None else self.line.is_reached(self.interval.mean)

    @property
    def shortfall(self) -> str:
        """How it does not hold, by its figures alone; nothing where it does."""
        if self.interval is None:
            return ""
        if self.direction is False:
            return self._tell_sign(self.interval) + ", though its mean reaches the line" * bool(self.magnitude)
        if self.magnitude is False:
            return "the effect is smaller than the line asks" if self.direction else "it does not come to the line"
        return ""

    def _tell_sign(self, interval: Interval) -> str:
        if interval.low is None or interval.high is None:
            return "too few draws for an interval"
        assert self.line.neutral is not None
        if interval.low <= self.line.neutral <= interval.high:
            return f"not told from no effect, over {interval.draws}"
        return "the effect is the other way round"

    def document(self) -> dict[str, Any]:
        interval, bounds = self.interval, None
        if interval is not None:
            bounds = {"low": interval.low, "high": interval.high, "draws": interval.draws}
        return {
            "paper": self.paper,
            "claim": self.claim,
            "figure_paper": self.figure_paper,
            "figure": None if interval is None else interval.mean,
            "interval": bounds,
            "threshold": self.line.document(),
            "direction": self.direction,
            "magnitude": self.magnitude,
            "note": "; ".join(filter(None, (self.shortfall, self.note))),
        }


@dataclass(frozen=True)
class Claims:
    """Writes down the claims of one paper."""

    paper: str
    is_quick: bool
    """Against lines that are halved."""

    def of_mean(
        self, claim: str, values: Sequence[float], line: Line, *, figure_paper: str | None = None, note: str = ""
    ) -> Claim:
        """Over seeds, or whatever was drawn independently."""
        return self.of(claim, find_interval(values), line, figure_paper=figure_paper, note=note)

    def of_share(
        self, claim: str, wins: Sequence[bool], line: Line, *, figure_paper: str | None = None, note: str = ""
    ) -> Claim:
        return self.of(claim, find_share_interval(sum(wins), len(wins)), line, figure_paper=figure_paper, note=note)

    def of_computed(
        self, claim: str, figure: float, line: Line, *, figure_paper: str | None = None, note: str = ""
    ) -> Claim:
        """Nothing was drawn for it, and it is the same every time."""
        return self.of(claim, Interval(figure, figure, figure, 0), line, figure_paper=figure_paper, note=note)

    def not_measured(self, claim: str, line: Line, *, figure_paper: str | None = None, why: str) -> Claim:
        return self.of(claim, None, line, figure_paper=figure_paper, note=why)

    def of(
        self, claim: str, interval: Interval | None, line: Line, *, figure_paper: str | None = None, note: str = ""
    ) -> Claim:
        return Claim(self.paper, claim, figure_paper, interval, line.halved() if self.is_quick else line, note)


COLUMNS = ("paper", "direction", "magnitude", "figure", "threshold", "in the paper", "claim", "note")
_VERDICTS = {True: "holds", False: "not reproduced", None: "no sign"}
_NOT_MEASURED = "not measured"


def tabulate(claims: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Of their documents, a row each."""
    for each in claims:
        verdicts, figure = (_NOT_MEASURED, _NOT_MEASURED), "none"
        if each["interval"] is not None:
            verdicts = (_VERDICTS[each["direction"]], _VERDICTS[each["magnitude"]])
            figure = _show(Interval(each["figure"], **each["interval"]))
        threshold = " and ".join(f"{name.replace('_', ' ')} {show(value)}" for name, value in each["threshold"].items())
        paper = each["figure_paper"] or "no figure"
        yield each["paper"], *verdicts, figure, threshold, paper, each["claim"], each["note"]


def _show(interval: Interval) -> str:
    return show_interval(interval) if interval.draws else f"{show(interval.mean)} (computed)"

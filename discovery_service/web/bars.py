"""Where an interval lies, as numbers for a small drawing: every bar of a table to the same scale, with zero in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from discovery_service.api.schemas.leaderboard import ScoreRead

WIDTH = 200.0
_EDGE = 4.0


@dataclass(frozen=True)
class Bar:
    """In units of the drawing, from its left."""

    zero: float
    mean: float
    left: float
    right: float

    @property
    def width(self) -> float:
        return self.right - self.left


def draw_bars(scores: Sequence[ScoreRead]) -> list[Bar | None]:
    """None for a score without an interval."""
    ends = [end for score in scores for end in (score.lower, score.upper) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])

    def place(value: float) -> float:
        return round(_EDGE + (value - low) / (high - low) * (WIDTH - 2 * _EDGE), 2)

    bars: list[Bar | None] = []
    for score in scores:
        if score.difference is None or score.lower is None or score.upper is None or high == low:
            bars.append(None)
        else:
            bars.append(Bar(place(0.0), place(score.difference), place(score.lower), place(score.upper)))
    return bars

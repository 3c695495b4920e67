"""A leaderboard as tables: what was confirmed and what was only screened never share one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from discovery_service.api.schemas.leaderboard import LeaderboardRow, MeanRead, ScoreRead
from discovery_service.domain.metrics import MEANINGS, list_own
from discovery_service.web.bars import Bar, draw_bars

_IN_CAPITALS = ("kl", "pm")


@dataclass(frozen=True)
class Line:
    row: LeaderboardRow
    score: ScoreRead
    bar: Bar | None
    verdict: str

    @property
    def difference(self) -> str:
        """No number without its interval."""
        score = self.score
        if score.difference is None or score.lower is None or score.upper is None:
            return ""
        return f"{score.difference:+.3f} [{score.lower:+.3f}, {score.upper:+.3f}]"

    @property
    def attained(self) -> str:
        return _tell_mean(self.score.attained)

    def tell(self, metric: str) -> str:
        return _tell_mean(self.score.metrics.get(metric))

    @property
    def setting(self) -> str:
        at = self.score.setting
        return f"β {at.beta:g}, rate {at.learning_rate:g}, {at.steps} steps"

    @property
    def beside(self) -> list[str]:
        """What it is to the other references that it met."""
        return [
            f"{each.verdict} {each.name}: {each.difference:+.3f} [{each.lower:+.3f}, {each.upper:+.3f}]"
            for each in self.score.against
            if each.lower is not None and each.upper is not None
        ]

    @property
    def author(self) -> str:
        model = self.row.model
        if model is None:
            return self.row.author.value
        return model if model.startswith(f"{self.row.author.value}/") else f"{self.row.author.value}, {model}"


class Column(NamedTuple):
    metric: str
    title: str
    meaning: str


@dataclass(frozen=True)
class BoardView:
    """Of one arena."""

    arena: str
    is_search: bool
    is_first: bool
    """And not a further page of its rows."""
    confirmed: list[Line]
    screened: list[Line]
    left_out: list[LeaderboardRow]
    """Accepted, and neither confirmed nor screened here."""
    next: str | None
    against: str
    """The reference of its family."""

    @property
    def columns(self) -> list[Column]:
        """Of metrics that only some arenas tell, and this one does."""
        told = list_own(line.score.metrics for line in (*self.confirmed, *self.screened))
        return [Column(name, _title(name), MEANINGS[name]) for name in told]


def show_board(
    arena: str, against: str, rows: Sequence[LeaderboardRow], *, is_search: bool, is_first: bool, following: str | None
) -> BoardView:
    return BoardView(
        arena,
        is_search,
        is_first,
        _list_lines([(row, row.confirm) for row in rows if row.confirm is not None], is_confirmed=True),
        _list_lines([(row, row.screen) for row in rows if row.screen is not None], is_confirmed=False),
        [row for row in rows if is_search and row.screen is None and row.confirm is None],
        following,
        against,
    )


def _list_lines(scores: Sequence[tuple[LeaderboardRow, ScoreRead]], *, is_confirmed: bool) -> list[Line]:
    bars = draw_bars([score for _, score in scores])
    return [
        Line(row, score, bar, _tell_verdict(row, is_confirmed=is_confirmed))
        for (row, score), bar in zip(scores, bars, strict=True)
    ]


def _tell_verdict(row: LeaderboardRow, *, is_confirmed: bool) -> str:
    is_reference = row.author == "library" and row.name == row.against
    if is_confirmed or row.confirm is None or is_reference:
        return row.verdict
    return "see its confirmation"


def _tell_mean(mean: MeanRead | None) -> str:
    if mean is None:
        return ""
    if mean.low is None or mean.high is None:
        return f"{mean.mean:.3f} (one draw)"
    return f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def _title(metric: str) -> str:
    first, *rest = [word.upper() if word in _IN_CAPITALS else word for word in metric.split("_")]
    return " ".join((first[0].upper() + first[1:], *rest))

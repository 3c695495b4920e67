"""What boards have in common over the wire: the place behind which a page begins, and the file for a spreadsheet."""

import base64
import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.orm import Session

from discovery_service.api.schemas.leaderboard import LeaderboardRow, MeanRead, ScoreRead, read_row
from discovery_service.db.leaderboard import Asked, BoardRow, Part, Place, iterate_board, read_board
from discovery_service.domain.campaign import MAX_COUNT
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.metrics import OWN
from discovery_service.engine.boards import list_board_against
from discovery_service.errors import Unprocessable

CSV = "text/csv"
CSV_TOO = {"content": {CSV: {"schema": {"type": "string"}}}, "description": "Or as a file: all pages in one."}
_STAGES = ("confirm", "screen")
_SCORE = (
    *("extension", "difference", "lower", "upper", "level", "verdict", "draws", "base_policies", "failed"),
    *("beta", "learning_rate", "steps"),
)
_MEANS = ("attained", "reward", "kl")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""With which a spreadsheet takes a text for a formula."""


@dataclass(frozen=True)
class Board:
    """What was asked for, against each family's reference or against another loss of one campaign's library."""

    unit: Session
    asked: Asked
    against: str | None = None

    def read_page(self, after: str | None, limit: int) -> tuple[list[LeaderboardRow], str | None]:
        """With the `after` of the next page, where there is one."""
        behind = None if after is None else _read_place(after)
        if self.against is None:
            found = read_board(self.unit, self.asked, after=behind, limit=limit + 1)
        else:
            start = 0 if behind is None else behind.position
            found = list_board_against(self.unit, self.asked, self.against)[start : start + limit + 1]
        rows = [self._read_row(each) for each in found[:limit]]
        return rows, _write_place(found[limit - 1].place) if len(found) > limit else None

    def list_rows(self) -> Iterator[LeaderboardRow]:
        if self.against is None:
            found: Iterable[BoardRow] = iterate_board(self.unit, self.asked)
        else:
            found = list_board_against(self.unit, self.asked, self.against)
        return map(self._read_row, found)

    def _read_row(self, row: BoardRow) -> LeaderboardRow:
        return read_row(row, self.against or self._references[row.place.arena_id])

    @cached_property
    def _references(self) -> dict[UUID, str]:
        """By arena."""
        return {each.id: REFERENCE_LOSSES[each.family] for each in self.asked.arenas}


def _write_place(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, default=str).encode()).decode().rstrip("=")


def _read_place(after: str) -> Place:
    try:
        arena, part, lower, campaign, *numbers = json.loads(base64.urlsafe_b64decode(f"{after}=="))
        made_in, slot, position = map(int, numbers)
        if not all(0 <= each <= MAX_COUNT for each in (made_in, slot, position)):
            raise ValueError("out of range")
        return Place(UUID(arena), Part(part), float(lower), UUID(campaign), made_in, slot, position)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Unprocessable(f"after: {after!r} is no place of a board; take the `next` of the page before.") from error


def wants_csv(request: Request) -> bool:
    """JSON unless only the other is accepted."""
    accepted = [each.partition(";")[0].strip() for each in request.headers.get("accept", "").split(",")]
    return CSV in accepted and "application/json" not in accepted


def answer_csv(board: Board) -> Response:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_list_columns())
    writer.writerows(_list_cells(row) for row in board.list_rows())
    disposition = 'attachment; filename="leaderboard.csv"'
    return Response(text.getvalue(), media_type=CSV, headers={"Content-Disposition": disposition})


def _list_columns() -> list[str]:
    means = _list_ends(_MEANS)
    return [
        *("rank", "name", "verdict", "author", "model", "known_as"),
        *("arena", "arena_sha256", "campaign", "round", "slot"),
        *(f"{stage}_{name}" for stage in _STAGES for name in (*_SCORE, *means)),
        *("trainings", "device_seconds", "tokens", "cost_usd", "campaign_id", "candidate_id", "against"),
        # Behind all others, so that who counts columns finds them where they were.
        *(f"{stage}_{name}" for stage in _STAGES for name in _list_ends(OWN)),
    ]


def _list_ends(metrics: Iterable[str]) -> list[str]:
    return [f"{name}{end}" for name in metrics for end in ("", "_lower", "_upper")]


def _list_cells(row: LeaderboardRow) -> list[object]:
    cells = [
        *(row.rank, row.name, row.verdict, row.author.value, row.model, " ".join(row.known_as)),
        *(row.arena, row.arena_sha256, row.campaign, row.round, row.slot),
        *(cell for score in (row.confirm, row.screen) for cell in _list_score(score)),
        *(row.cost.evaluations, row.cost.device_seconds, row.cost.tokens, row.cost.cost_usd),
        *(row.campaign_id, row.candidate_id, row.against),
        *(cell for score in (row.confirm, row.screen) for cell in _list_own(score)),
    ]
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell for cell in cells]


def _list_score(score: ScoreRead | None) -> Iterator[object]:
    if score is None:
        yield from [None] * (len(_SCORE) + 3 * len(_MEANS))
        return
    at = score.setting
    yield from (score.extension, score.difference, score.lower, score.upper, score.level, score.verdict, score.draws)
    yield from (len(score.base_policies), score.failed, at.beta, at.learning_rate, at.steps)
    for mean in (score.attained, score.reward, score.kl):
        yield from _list_mean(mean)


def _list_own(score: ScoreRead | None) -> Iterator[object]:
    for name in OWN:
        yield from _list_mean(None if score is None else score.metrics.get(name))


def _list_mean(mean: MeanRead | None) -> tuple[float | None, ...]:
    return (None, None, None) if mean is None else (mean.mean, mean.low, mean.high)

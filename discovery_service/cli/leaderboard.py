"""`discovery leaderboard`: who stands where in a campaign, with every interval drawn to one scale."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.output import AsJson, as_plain, print_json, print_table, printable
from discovery_service.client import Leaderboard, LeaderboardRow, Score

_BAR = 29
_LINE, _MEAN, _ZERO = "\N{BOX DRAWINGS LIGHT HORIZONTAL}", "\N{BLACK CIRCLE}", "\N{BOX DRAWINGS LIGHT VERTICAL}"


def leaderboard(
    campaign_id: Annotated[UUID, typer.Argument(metavar="ID", help="Of a campaign.")],
    arena: Annotated[str | None, typer.Option(help="A held-out arena instead of that of the search.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a campaign's losses by the lower bound of their difference to DPO; what was confirmed comes first."""
    with connect() as client:
        board = client.campaigns.leaderboard(campaign_id, arena=arena)
    if as_json:
        print_json(as_plain(board))
    else:
        print_leaderboard(board)


def print_leaderboard(board: Leaderboard) -> None:
    """Screened and confirmed numbers apart: what a search shows of its best is partly luck."""
    screened = [(row, row.screen) for row in board.rows if row.screen is not None]
    print_confirmed(board)
    typer.echo(f"\nScreened, which confirms nothing: {len(screened)}")
    _print_scores(screened)


def print_confirmed(board: Leaderboard) -> None:
    """All that there is in a held-out arena, where nothing is screened."""
    confirmed = [(row, row.confirm) for row in board.rows if row.confirm is not None]
    typer.echo(printable(f"In {board.arena}, less {board.against}, which is the line in each bar."))
    typer.echo(f"\nConfirmed on fresh draws: {len(confirmed)}")
    _print_scores(confirmed)


def _print_scores(scores: Sequence[tuple[LeaderboardRow, Score]]) -> None:
    ends = [end for _, score in scores for end in (score.lower, score.upper) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    columns = ("name", "rank", "by", "difference", "", "verdict", "setting", "draws", "attained", "cost")
    print_table(columns, (_write_row(row, score, min(low, 0.0), max(high, 0.0)) for row, score in scores))


def _write_row(row: LeaderboardRow, score: Score, low: float, high: float) -> tuple[object, ...]:
    attained, at = score.attained, score.setting
    known = f" (known as {', '.join(row.known_as)})" if row.known_as and row.author != "library" else ""
    return (
        row.name,
        row.rank,
        f"{_name_author(row)}{known}",
        _tell(score.difference, score.lower, score.upper),
        draw_bar(score, low, high),
        row.verdict if score is row.confirm or row.confirm is None else "see above",
        f"beta {at.beta:g}, rate {at.learning_rate:g}, {at.steps} steps",
        f"{score.draws} over {len(score.base_policies)}{f', {score.failed} failed' if score.failed else ''}",
        _tell(attained.mean, attained.low, attained.high) if attained else None,
        f"{row.cost.evaluations} trainings, {row.cost.device_seconds:.0f} s, {row.cost.tokens} tokens,"
        f" {row.cost.cost_usd:.3f} USD",
    )


def _name_author(row: LeaderboardRow) -> str:
    """What plays recordings calls itself `recorded/ARENA`, which says both."""
    if row.model is None:
        return row.author
    return row.model if row.model.startswith(f"{row.author}/") else f"{row.author} {row.model}"


def _tell(mean: float | None, low: float | None, high: float | None) -> str | None:
    """No number without its interval."""
    return None if mean is None or low is None or high is None else f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def draw_bar(score: Score, low: float, high: float) -> str:
    """An interval between the lowest and the highest end of all, with its mean and with zero."""
    if score.difference is None or score.lower is None or score.upper is None or high <= low:
        return ""

    def place(value: float) -> int:
        return round((value - low) / (high - low) * (_BAR - 1))

    cells = [" "] * _BAR
    for cell in range(place(score.lower), place(score.upper) + 1):
        cells[cell] = _LINE
    cells[place(0.0)] = _ZERO
    cells[place(score.difference)] = _MEAN
    return "".join(cells).rstrip()

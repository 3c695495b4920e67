"""`discovery leaderboard`: who stands where in a campaign, with every interval drawn to one scale."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.output import AsJson, as_plain, print_json, print_table, printable
from discovery_service.client import Against, Cost, Leaderboard, LeaderboardRow, Score

Scores = Sequence[tuple[LeaderboardRow, Score]]
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
    if screened:
        typer.echo(f"\nScreened, which confirms nothing: {len(screened)}")
        _print_scores(screened)
    for line in tell_left_out(board):
        typer.echo(printable(f"\n{line}"))


def tell_left_out(board: Leaderboard) -> list[str]:
    """Of the candidates that were looked at, those that no table shows, and why."""
    proposed = [row for row in board.rows if row.author != "library"]
    stopped = [row.name for row in proposed if row.is_stopped]
    parts = []
    if stopped:
        parts.append(f"{_were(len(stopped))} stopped at the halving of their rounds ({', '.join(stopped)})")
    if board.refused:
        parts.append(f"{_were(board.refused)} refused by the gate")
    looked_at = len(proposed) + board.refused
    return [f"Of {looked_at} candidates that were looked at, {' and '.join(parts)}."] if parts else []


def _were(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'}"


def print_confirmed(board: Leaderboard) -> None:
    """All that there is in a held-out arena, where nothing is screened."""
    confirmed = [(row, row.confirm) for row in board.rows if row.confirm is not None]
    typer.echo(printable(f"In {board.arena}, less {board.against}, which is the line in each bar."))
    if not confirmed:
        typer.echo("Nothing is confirmed.")
        return
    typer.echo(f"\nConfirmed on fresh draws: {len(confirmed)}")
    _print_scores(confirmed)
    others = _list_others(confirmed)
    if others:
        told = (
            f"Intervals less {', '.join(others)} are not joint with those less {board.against}, by which finds count."
        )
        typer.echo(printable(told))


def _list_others(scores: Scores) -> list[str]:
    """The references beside the board's that somebody met."""
    return sorted({each.name for _, score in scores for each in score.against})


def _print_scores(scores: Scores) -> None:
    ends = [end for _, score in scores for end in (score.lower, score.upper) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    others = _list_others(scores)
    beside = (f"less {name}" for name in others)
    columns = ("name", "rank", "by", "difference", "", "verdict", *beside, "setting", "draws", "attained", "cost")
    print_table(columns, (_write_row(row, score, min(low, 0.0), max(high, 0.0), others) for row, score in scores))


def _write_row(row: LeaderboardRow, score: Score, low: float, high: float, others: Sequence[str]) -> tuple[object, ...]:
    attained, at = score.attained, score.setting
    met = {each.name: tell_against(each) for each in score.against}
    known = f" (known as {', '.join(row.known_as)})" if row.known_as and row.author != "library" else ""
    return (
        row.name,
        row.rank,
        f"{_name_author(row)}{known}",
        _tell(score.difference, score.lower, score.upper),
        draw_bar(score, low, high),
        row.verdict if score is row.confirm or row.confirm is None else "see above",
        *(met.get(name) for name in others),
        f"beta {at.beta:g}, rate {at.learning_rate:g}, {at.steps} steps",
        f"{score.draws} over {len(score.base_policies)}{f', {score.failed} failed' if score.failed else ''}",
        _tell(attained.mean, attained.low, attained.high) if attained else None,
        _tell_cost(row.cost),
    )


def tell_against(met: Against) -> str:
    return f"{_tell(met.difference, met.lower, met.upper) or ''} {met.verdict} {met.name}".strip()


def _tell_cost(cost: Cost) -> str:
    """Of a model only where one was asked."""
    asked = f", {cost.tokens} tokens, {cost.cost_usd:.3f} USD" if cost.tokens or cost.cost_usd else ""
    return f"{cost.evaluations} trainings, {cost.device_seconds:.0f} s{asked}"


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

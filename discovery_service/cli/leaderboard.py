"""`discovery leaderboard`: who stands where, in a campaign or over all, with every interval drawn to one scale."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Annotated, Literal
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.figures import tell_interval, tell_mean, tell_setting
from discovery_service.cli.output import AsJson, as_plain, print_json, print_table, printable
from discovery_service.client import Against, Cost, Leaderboard, LeaderboardRow, Mean, Score
from discovery_service.client.resources import BOARD_PAGE_SIZE
from discovery_service.domain.described_arenas import pinned_name
from discovery_service.domain.known_losses import find_reference
from discovery_service.domain.metrics import list_own
from discovery_service.errors import UsageError

Scores = Sequence[tuple[LeaderboardRow, Score]]
_BAR = 21
_LINE, _MEAN, _ZERO = "\N{BOX DRAWINGS LIGHT HORIZONTAL}", "\N{BLACK CIRCLE}", "\N{BOX DRAWINGS LIGHT VERTICAL}"


def leaderboard(
    campaign_id: Annotated[
        UUID | None, typer.Argument(metavar="[ID]", help="Of a campaign; without it those of all campaigns.")
    ] = None,
    arena: Annotated[
        str | None,
        typer.Option(help="One of a campaign's held-out arenas; over all campaigns this arena only."),
    ] = None,
    stage: Annotated[
        Literal["screen", "confirm"] | None, typer.Option(help="Only what stands there, ranked by it.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="LOSS", help="Another loss of the campaign's library, not the reference."),
    ] = None,
    library: Annotated[
        bool, typer.Option("--library", help="Over all campaigns the known losses too; in one they always are.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Over all campaigns at most so many; a file has all.")] = 50,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table for a spreadsheet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show losses by the lower bound of their difference to the reference; what was confirmed comes first."""
    if campaign_id is None and against is not None:
        raise UsageError(f"{against} is of one campaign's library: name the campaign.")
    with connect() as client:
        if campaign_id is None:
            named, include = [arena] if arena else [], ["library"] if library else []
            if as_csv:
                typer.echo(client.leaderboard.csv(arena=named, stage=stage, include=include), nl=False)
            else:
                size = min(limit + 1, BOARD_PAGE_SIZE)
                found = client.leaderboard.list(arena=named, stage=stage, include=include, limit=size)
                _show_all(found, limit, as_json)
        elif as_csv:
            typer.echo(
                client.campaigns.leaderboard_csv(campaign_id, arena=arena, stage=stage, against=against), nl=False
            )
        else:
            board = client.campaigns.leaderboard(campaign_id, arena=arena, stage=stage, against=against)
            if as_json:
                print_json(as_plain(board))
            elif stage is None and arena is None:
                print_leaderboard(board)
            else:
                _print_tables(board, stage)


def _show_all(found: Iterator[LeaderboardRow], limit: int, as_json: bool) -> None:
    rows = list(islice(found, limit))
    if as_json:
        print_json([as_plain(row) for row in rows])
        return
    if not rows:
        typer.echo("No loss stands anywhere yet.")
    versions = Counter(name for name, _ in {(row.arena, row.arena_sha256) for row in rows})
    # An arena after the other, each version by itself: their differences do not compare.
    for (name, content), group in groupby(rows, key=lambda row: (row.arena, row.arena_sha256)):
        losses = list(group)
        called = name if versions[name] == 1 else pinned_name(name, content)
        _print_confirmed(called, losses[0].against, losses, with_campaign=True)
        _print_screened(losses, with_campaign=True)
        typer.echo("")
    if next(found, None) is not None:
        typer.echo(f"There are more than these {limit}: --limit shows more of them, --csv has all.")


def print_leaderboard(board: Leaderboard) -> None:
    """Screened and confirmed numbers apart: what a search shows of its best is partly luck."""
    _print_tables(board, None)
    for line in tell_left_out(board):
        typer.echo(printable(f"\n{line}"))


def _print_tables(board: Leaderboard, stage: str | None) -> None:
    if stage in (None, "confirm"):
        print_confirmed(board)
    else:
        _print_head(board.arena, board.against)
    if stage in (None, "screen"):
        _print_screened(board.rows)


def tell_left_out(board: Leaderboard) -> list[str]:
    """Of the candidates those that no table shows, and why."""
    proposed = [row for row in board.rows if row.author != "library"]
    stopped = [row.name for row in proposed if row.is_stopped]
    parts = []
    if stopped:
        parts.append(f"{_were(len(stopped))} stopped at the halving of their rounds ({', '.join(stopped)})")
    if board.refused:
        parts.append(f"{_were(board.refused)} refused by the gate")
    return [f"Of {len(proposed) + board.refused} candidates {' and '.join(parts)}."] if parts else []


def _were(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'}"


def print_confirmed(board: Leaderboard) -> None:
    """All that there is in a held-out arena, where nothing is screened."""
    _print_confirmed(board.arena, board.against, board.rows)


def _print_confirmed(arena: str, against: str, rows: Sequence[LeaderboardRow], *, with_campaign: bool = False) -> None:
    confirmed = [(row, row.confirm) for row in rows if row.confirm is not None]
    _print_head(arena, against)
    if not confirmed:
        typer.echo("Nothing is confirmed.")
        return
    typer.echo(f"\nConfirmed on fresh draws: {len(confirmed)}")
    _print_scores(confirmed, with_campaign=with_campaign, spare=("", "rank"))
    if any(score.extension for _, score in confirmed):
        typer.echo(
            "The campaign was extended and confirmed again, which gave its finalists another chance each;"
            " `discovery campaign standings` has the confirmations before."
        )
    others = _list_others(confirmed)
    if others:
        beside = f"less {', '.join(others)} are not joint with those less {against}"
        typer.echo(printable(f"Intervals {beside}; finds count by those less {find_reference([against, *others])}."))


def _print_head(arena: str, against: str) -> None:
    typer.echo(printable(f"In {arena}, less {against}, which is the line in each bar."))


def _print_screened(rows: Sequence[LeaderboardRow], *, with_campaign: bool = False) -> None:
    screened = [(row, row.screen) for row in rows if row.screen is not None]
    if screened:
        typer.echo(f"\nScreened, which confirms nothing: {len(screened)}")
        _print_scores(screened, with_campaign=with_campaign, spare=("verdict", "", "rank"))


def _list_others(scores: Scores) -> list[str]:
    """The references beside the board's that somebody met."""
    return sorted({each.name for _, score in scores for each in score.against})


def _print_scores(scores: Scores, *, with_campaign: bool, spare: Sequence[str]) -> None:
    ends = [end for _, score in scores for end in (score.lower, score.upper) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    others = _list_others(scores)
    beside = [f"less {name}" for name in others]
    where = ("campaign",) if with_campaign else ()
    columns = ("name", "rank", "by", "difference", "", "verdict", *beside, "setting", "draws", "attained")
    own = list_own(score.metrics for _, score in scores)
    written = (
        (
            *_write_row(row, score, min(low, 0.0), max(high, 0.0), others),
            *(tell_mean(score.metrics.get(name)) for name in own),
            _tell_cost(row.cost),
            *([row.campaign] if with_campaign else []),
        )
        for row, score in scores
    )
    named = [name.replace("_", " ") for name in own]
    # Of many campaigns there are many others; in one they tell a find from a known loss that does as well.
    first = (*(beside if with_campaign else ()), "cost", "setting", *reversed(named), "attained", "draws")
    print_table((*columns, *named, "cost", *where), written, spare=(*first, *spare))


def _write_row(row: LeaderboardRow, score: Score, low: float, high: float, others: Sequence[str]) -> tuple[object, ...]:
    met = {each.name: tell_against(each) for each in score.against}
    known = f" (known as {', '.join(row.known_as)})" if row.known_as and row.author != "library" else ""
    return (
        row.name,
        row.rank,
        f"{_name_author(row)}{known}",
        tell_interval(score.difference, score.lower, score.upper),
        draw_bar(score, low, high),
        row.verdict if score is row.confirm or row.confirm is None else "see above",
        *(met.get(name) for name in others),
        tell_setting(score.setting),
        f"{score.draws} over {len(score.base_policies)}{f', {score.failed} failed' if score.failed else ''}",
        _tell_signed(score.attained),
    )


def _tell_signed(found: Mean | None) -> str | None:
    return None if found is None else tell_interval(found.mean, found.low, found.high)


def tell_against(met: Against) -> str:
    return f"{tell_interval(met.difference, met.lower, met.upper) or ''} {met.verdict} {met.name}".strip()


def _tell_cost(cost: Cost) -> str:
    """Of a model only where one was asked."""
    asked = f", {cost.tokens} tokens, {cost.cost_usd:.3f} USD" if cost.tokens or cost.cost_usd else ""
    return f"{cost.evaluations} trainings, {cost.device_seconds:.0f} s{asked}"


def _name_author(row: LeaderboardRow) -> str:
    """What plays recordings calls itself `recorded/ARENA`, which says both."""
    if row.model is None:
        return row.author
    return row.model if row.model.startswith(f"{row.author}/") else f"{row.author} {row.model}"


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

"""What `discovery demo` tells at its end: boards, who found what, the verdict, and the module that leaves."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import typer

from discovery_service.cli.export import read_said
from discovery_service.cli.figures import tell_interval
from discovery_service.cli.leaderboard import print_confirmed, print_leaderboard
from discovery_service.cli.output import print_table, printable
from discovery_service.client import Campaign, Client, Conflict, Leaderboard, LeaderboardRow, Standings

BETTER = "better than"
CHECK_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Findings:
    """All that the service knows of a demo's campaign once it has ended."""

    campaign: Campaign
    search: Leaderboard
    held_out: Sequence[Leaderboard]
    standings: Standings

    @property
    def finalists(self) -> set[UUID]:
        return {each.candidate_id for freeze in self.standings.freezes for each in freeze.finalists}

    @property
    def has_found(self) -> bool:
        return any(is_found(row) for row in self.search.rows)


@dataclass(frozen=True)
class Exported:
    path: Path
    is_confirmed: bool
    shown: str
    """Of it, as the file says."""
    check: str
    """What the file says of itself when it is run with --check."""
    has_passed: bool


def is_found(row: LeaderboardRow) -> bool:
    return row.author != "library" and row.confirm is not None and row.confirm.verdict == BETTER


def read_findings(client: Client, campaign: Campaign) -> Findings:
    boards = [client.campaigns.leaderboard(campaign.id, arena=name) for name in campaign.spec.held_out_arenas]
    board, standings = client.campaigns.leaderboard(campaign.id), client.campaigns.standings(campaign.id)
    return Findings(campaign, board, boards, standings)


def export_best(client: Client, found: Findings, path: Path) -> Exported | None:
    """The discovery, else the best finalist or screened loss as unconfirmed; None where nothing new was screened."""
    try:
        module = client.campaigns.export_best_module(found.campaign.id, unconfirmed=True)
    except Conflict:
        return None
    path.write_bytes(module)
    said, (check, has_passed) = read_said(module), run_check(path)
    return Exported(path, said.is_confirmed, said.shown, check, has_passed)


def run_check(path: Path) -> tuple[str, bool]:
    """What the file says, and whether it passed. Proposed code runs in it, which is given no key and no setting."""
    command = [sys.executable, "-I", str(path), "--check"]
    nothing_else = {"PATH": os.defpath}
    ran = subprocess.run(  # noqa: S603 - the file was written by the service, from a source that passed the gate
        command, env=nothing_else, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False
    )
    return (ran.stdout + ran.stderr).strip(), ran.returncode == 0


def print_findings(found: Findings) -> None:
    print_leaderboard(found.search)
    for board in found.held_out:
        typer.echo("\nHeld out: tuned anew there, and never searched in.")
        print_confirmed(board)
    typer.echo("\nWho found what, without the library")
    print_table(
        ("by", "accepted", "finalists", f"better than {found.search.against}", "its highest bound"),
        _list_authors(found),
    )
    refused = found.campaign.spend.candidates.spent - sum(row.author != "library" for row in found.search.rows)
    if refused > 0:
        typer.echo(f"{refused:.0f} of {found.campaign.spend.candidates.spent:.0f} proposals came to nothing.")
    typer.echo("")
    for line in tell_verdict(found):
        typer.echo(printable(line))


def _list_authors(found: Findings) -> list[tuple[object, ...]]:
    by: dict[str, list[LeaderboardRow]] = {}
    for row in found.search.rows:
        if row.author != "library":
            by.setdefault(row.author, []).append(row)
    return [
        (
            author,
            len(rows),
            ", ".join(row.name for row in rows if row.candidate_id in found.finalists) or "none",
            ", ".join(row.name for row in rows if is_found(row)) or "none",
            _tell_best(rows[0]),
        )
        for author, rows in by.items()
    ]


def _tell_best(row: LeaderboardRow) -> str:
    """Of a board's rows the first, confirmed ones before screened ones."""
    score = row.confirm or row.screen
    if score is None or score.difference is None or score.lower is None or score.upper is None:
        return "nothing with a difference"
    stage = "confirmed" if row.confirm is not None else "screened"
    return f"{row.name} {tell_interval(score.difference, score.lower, score.upper)}, {stage}"


def tell_verdict(found: Findings) -> list[str]:
    """In sentences; that nothing was found is said as plainly as a find."""
    campaign = found.campaign
    said = [f"The campaign is {campaign.status}. {campaign.status_reason or ''}".strip()]
    if not found.has_found:
        said.append(
            "Nothing better than the baselines was found: no proposed loss is confirmed to be better than a tuned"
            f" {found.search.against}."
        )
    said += [
        f"{row.name} ({row.author}) is {met.verdict} {met.name}, the best known loss of the screen:"
        f" {tell_interval(met.difference, met.lower, met.upper)}."
        for row in found.search.rows
        if is_found(row) and row.confirm is not None
        for met in row.confirm.against
    ]
    for freeze in found.standings.freezes:
        smallest = freeze.plan.get("detectable")
        if smallest is not None:
            draws = f"{freeze.plan['draws']} draws"
            said.append(
                f"In {freeze.arena} {draws} find a difference of {smallest:.2f} with 80 % power, where it is alike"
                " under all base policies."
            )
    for board in found.held_out:
        said += [
            f"{row.name} ({row.author}) is {row.verdict} in {board.arena}, which was held out."
            for row in board.rows
            if row.author != "library" and row.confirm is not None
        ]
    if any(is_found(row) and row.author == "recorded" for row in found.search.rows):
        said.append("What is by `recorded` was found when the replies were RECORDED, by no search of today.")
    return said


def tell_export(exported: Exported | None) -> list[str]:
    if exported is None:
        return ["Nothing is exported: nothing new that was proposed has come through its screen."]
    last = exported.check.splitlines()[-1] if exported.check else "nothing"
    path = os.path.relpath(exported.path)
    command = shlex.join([os.path.relpath(sys.executable), "-I", path, "--check"])
    said = [f"Exported to {path}; `{command}` says: {last}"]
    if not exported.is_confirmed:
        said.insert(0, f"What leaves is no discovery. {exported.shown}")
    return said

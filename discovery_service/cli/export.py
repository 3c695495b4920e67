"""`discovery export`: a loss as one Python file."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NamedTuple
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.output import AsJson, print_json, say
from discovery_service.client import Client
from discovery_service.errors import UsageError


def export(
    campaign: Annotated[UUID | None, typer.Option(metavar="ID", help="Whose best confirmed discovery.")] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar="ID", help="This loss, confirmed or not; with --campaign its name will do.")
    ] = None,
    unconfirmed: Annotated[
        bool, typer.Option("--unconfirmed", help="Where nothing is confirmed the best of the others.")
    ] = False,
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where it is written.")] = Path("discovered_loss.py"),
    as_json: AsJson = False,
) -> None:
    """Write a loss as one Python file that needs only torch; `python FILE --check` proves it."""
    if campaign is None and candidate is None:
        raise UsageError("Say which loss: give --campaign ID for its best one, or --candidate ID.")
    with connect() as client:
        if candidate is not None:
            module = client.candidates.export_module(_find_candidate(client, campaign, candidate))
        else:
            assert campaign is not None
            module = client.campaigns.export_best_module(campaign, unconfirmed=unconfirmed)
    try:
        to.write_bytes(module)
    except OSError as error:
        raise UsageError(f"{to} cannot be written: {error.strerror}.") from error
    said = read_said(module)
    if not said.is_confirmed:
        say(f"{said.shown} Do not report it as a discovery.")
    if as_json:
        print_json({"file": str(to), **said._asdict()})
    else:
        typer.echo(str(to))


def _find_candidate(client: Client, campaign: UUID | None, told: str) -> UUID:
    if campaign is None:
        try:
            return UUID(told)
        except ValueError as error:
            raise UsageError(f"--candidate {told} is no id; a name needs the --campaign that it is of.") from error
    rows = client.campaigns.leaderboard(campaign).rows
    found = [row.candidate_id for row in rows if told in (row.name, str(row.candidate_id))]
    if len(found) > 1:
        raise UsageError(f"Several losses of this campaign are called {told}: take one by its id: {_list(found)}.")
    if not found:
        names = _list(row.name for row in rows) or "none yet"
        raise UsageError(f"No accepted loss of this campaign is called {told}; there are {names}.")
    return found[0]


def _list(each: Iterable[object]) -> str:
    return ", ".join(map(str, each))


class Said(NamedTuple):
    """By an exported file of itself."""

    is_confirmed: bool
    shown: str


def read_said(module: bytes) -> Said:
    """From its own constants, whatever stands in its docstring. It is not run."""
    constants = {
        target.id: each.value.value
        for each in ast.parse(module).body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    return Said(bool(constants.get("IS_CONFIRMED")), str(constants.get("SHOWN", "")))

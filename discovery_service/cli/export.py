"""`discovery export`: a loss as one Python file."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.output import AsJson, print_json, say
from discovery_service.errors import UsageError


def export(
    campaign: Annotated[UUID | None, typer.Option(metavar="ID", help="Whose best confirmed discovery.")] = None,
    candidate: Annotated[UUID | None, typer.Option(metavar="ID", help="This loss, confirmed or not.")] = None,
    unconfirmed: Annotated[
        bool, typer.Option("--unconfirmed", help="Where nothing is confirmed the best of the others.")
    ] = False,
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where it is written.")] = Path("discovered_loss.py"),
    as_json: AsJson = False,
) -> None:
    """Write a loss as one Python file that needs only torch; `python FILE --check` proves it."""
    if (campaign is None) == (candidate is None):
        raise UsageError("Say which loss: give --campaign ID for its best one, or --candidate ID.")
    with connect() as client:
        if candidate is not None:
            module = client.candidates.export_module(candidate)
        else:
            assert campaign is not None
            module = client.campaigns.export_best_module(campaign, unconfirmed=unconfirmed)
    try:
        to.write_bytes(module)
    except OSError as error:
        raise UsageError(f"{to} cannot be written: {error.strerror}.") from error
    if not is_confirmed(module):
        say("It is UNCONFIRMED: nothing has shown that it is better than anything. Do not report it as a discovery.")
    if as_json:
        print_json({"file": str(to), "is_confirmed": is_confirmed(module)})
    else:
        typer.echo(str(to))


def is_confirmed(module: bytes) -> bool:
    """What the exported file says of itself."""
    return b"\nIS_CONFIRMED = False\n" not in module

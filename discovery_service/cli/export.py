"""`discovery export`: a loss as one Python file, or as a bundle of it with what surrounds it."""

import ast
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Annotated, NamedTuple
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.named_losses import find_loss
from discovery_service.cli.output import AsJson, print_json, say
from discovery_service.client import Client
from discovery_service.errors import UsageError

_MODULE = Path("discovered_loss.py")


def export(
    campaign: Annotated[UUID | None, typer.Option(metavar="ID", help="Whose best confirmed discovery.")] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar="ID", help="This loss, confirmed or not; with --campaign its name will do.")
    ] = None,
    unconfirmed: Annotated[
        bool, typer.Option("--unconfirmed", help="Where nothing is confirmed the best of the others.")
    ] = False,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="A zip of it with a trainer for TRL, a test, a recipe and its provenance.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it is written; discovered_loss.py or .zip unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a loss as one Python file that needs only torch; `python FILE --check` proves it.

    With --bundle as a zip: unpacked, `python test_loss.py` proves all of it.
    """
    if campaign is None and candidate is None:
        raise UsageError("Say which loss: give --campaign ID for its best one, or --candidate ID.")
    with connect() as client:
        content = _fetch(client, campaign, candidate, is_bundle=bundle, is_unconfirmed_taken=unconfirmed)
    to = to or Path(f"{_MODULE.stem}.zip" if bundle else _MODULE)
    try:
        to.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{to} cannot be written: {error.strerror}.") from error
    said = read_said(zipfile.ZipFile(BytesIO(content)).read(_MODULE.name) if bundle else content)
    if not said.is_confirmed:
        say(f"{said.shown} Do not report it as a discovery.")
    if as_json:
        print_json({"file": str(to), **said._asdict()})
    else:
        typer.echo(str(to))


def _fetch(
    client: Client, campaign: UUID | None, candidate: str | None, *, is_bundle: bool, is_unconfirmed_taken: bool
) -> bytes:
    if candidate is not None:
        found = find_loss(client, campaign, candidate)
        return client.candidates.export_bundle(found) if is_bundle else client.candidates.export_module(found)
    assert campaign is not None
    export = client.campaigns.export_best_bundle if is_bundle else client.campaigns.export_best_module
    return export(campaign, unconfirmed=is_unconfirmed_taken)


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

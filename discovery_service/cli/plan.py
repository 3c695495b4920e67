"""`discovery campaign plan`: what a campaign would take and find, before it starts."""

from pathlib import Path
from typing import Annotated

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.output import AsJson, as_plain, print_fields, print_json, printable
from discovery_service.cli.spec_file import read_campaign
from discovery_service.client import Plan, PlannedCalls, PlannedConfirmation
from discovery_service.errors import UsageError

_HOUR_S = 3600


def plan(
    file: Annotated[Path, typer.Argument(metavar="SPEC", help="YAML or JSON as `create` takes it; - reads stdin.")],
    as_json: AsJson = False,
) -> None:
    """Say what a campaign would take and how small a difference it would find. Nothing is created.

    A spec of which not even the library could be measured is told as one that cannot be used.
    """
    spec = read_campaign(file)["spec"]
    with connect() as client:
        found = client.campaigns.plan(spec=spec)
    if as_json:
        print_json(as_plain(found))
    if found.binds_first is None:
        raise UsageError(printable(" ".join(found.notes)))
    if not as_json:
        print_plan(found)


def print_plan(found: Plan) -> None:
    counts = found.evaluations
    print_fields(
        [
            ("proposals", f"{found.proposals} in {found.rounds} round{'' if found.rounds == 1 else 's'}"),
            ("ended by", found.binds_first),
            (
                "evaluations",
                f"at most {counts.total}: library {counts.library}, search {counts.search},"
                f" confirmation {counts.confirmation}, held out {counts.held_out}",
            ),
            ("training", _tell_seconds(found.core_seconds)),
            ("tokens", _tell_calls(found.typical, found.worst)),
            *((f"confirmed in {each.arena}", _tell_confirmation(each)) for each in found.confirmations),
        ]
    )
    for note in found.notes:
        typer.echo(printable(note))


def _tell_seconds(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"about {seconds:.0f} core seconds" + (f" ({seconds / _HOUR_S:.1f} hours)" if seconds > _HOUR_S else "")


def _tell_calls(typical: PlannedCalls, worst: PlannedCalls) -> str:
    if not worst.tokens:
        return "none"
    return f"about {typical.tokens} ({_tell_usd(typical)}), at most {worst.tokens} ({_tell_usd(worst)})"


def _tell_usd(calls: PlannedCalls) -> str:
    return "price unknown" if calls.cost_usd is None else f"{calls.cost_usd:.3f} USD"


def _tell_confirmation(each: PlannedConfirmation) -> str:
    found = "unknown" if each.detectable is None else f"{each.detectable:.3g}"
    return f"{each.draws} draws; smallest difference found: {found} (asked for: {each.detect:g})"

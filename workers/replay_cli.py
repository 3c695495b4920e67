"""`discovery replay`: a campaign derived again from its stored rows, without a model, a device or a server."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from discovery_service.cli.database import database_errors, find_database
from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, print_json, printable, say
from discovery_service.errors import NotFound, UsageError

if TYPE_CHECKING:
    from discovery_service.domain.archive import Archive
    from discovery_service.domain.families import Family
    from discovery_service.domain.requests import Request
    from discovery_service.engine.findings import Difference, Findings

MOST_LEAVES = 6
"""Shown of one difference; JSON has all of it."""
_WIDEST = 160


def replay(
    campaign_id: Annotated[UUID, typer.Argument(metavar="CAMPAIGN", help="Its id.")],
    as_json: AsJson = False,
) -> None:
    """Derive a campaign's rounds, prompts, freezes and standings again from what is stored, and change nothing.

    Exit code 1 when anything differs.
    """
    from discovery_service.db.sessions import make_sessions
    from discovery_service.engine.replay import replay as run

    sessions = make_sessions(find_database(), pool_size=1)
    with database_errors(), sessions() as session:
        # Of a campaign that runs, rows that fit together.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        try:
            found = run(session, campaign_id, draw_again)
        except NotFound as error:
            raise UsageError(error.detail) from error
    if as_json:
        print_json({"campaign": str(campaign_id), "derived": dict(found.derived), **_document(found)})
    else:
        _tell(campaign_id, found)
    if found.differences:
        raise typer.Exit(ExitCode.ERROR)


def draw_again(request: "Request", archive: "Archive", family: "Family", place: Mapping[str, int]) -> str | None:
    """What the symbolic proposer says; None where it has nothing new to say."""
    from workers.symbolic.propose import NothingNew, propose, write_reply

    try:
        return write_reply(propose(request, archive, family, **place))
    except NothingNew:
        return None


def _document(found: "Findings") -> dict[str, Any]:
    return {"differences": [asdict(each) for each in found.differences], "notes": found.notes}


def _tell(campaign_id: UUID, found: "Findings") -> None:
    counted = ", ".join(f"{count} {what}" for what, count in found.derived.items())
    typer.echo(f"Derived again of {campaign_id}: {counted or 'nothing, as no round was opened'}.")
    for difference in found.differences:
        _tell_difference(difference)
    for note in found.notes:
        say(note)
    told = f"{len(found.differences)} of these differ from what is stored." if found.differences else "Nothing differs."
    typer.echo(told)


def _tell_difference(difference: "Difference") -> None:
    typer.echo(printable(f"\n{difference.what} of {difference.where}"))
    leaves = difference.list_leaves()
    for leaf in leaves[:MOST_LEAVES]:
        typer.echo(printable(f"  {leaf.path or 'it'}"))
        typer.echo(printable(f"    stored:  {_shorten(leaf.stored)}"))
        typer.echo(printable(f"    derived: {_shorten(leaf.derived)}"))
    if len(leaves) > MOST_LEAVES:
        typer.echo(f"  and {len(leaves) - MOST_LEAVES} more (--json shows them)")


def _shorten(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]} …"

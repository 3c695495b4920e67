"""`discovery rescore`: all standings again from what was measured, and whether the stored ones were the same."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from discovery_service.cli.database import database_errors, find_database
from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, print_json, say
from discovery_service.errors import ServiceError, UsageError


def rescore(
    campaign_id: Annotated[UUID | None, typer.Argument(metavar="[CAMPAIGN]", help="Its id; all without one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild the standings from the measurements; exit code 1 when any differed, 6 when a campaign is unreadable."""
    from sqlalchemy import select

    from discovery_service.db.sessions import make_sessions
    from discovery_service.db.tables import Campaign
    from discovery_service.engine.standings import rebuild

    sessions = make_sessions(find_database(), pool_size=1)
    answers, unreadable = {}, {}
    with database_errors():
        with sessions() as session:
            query = select(Campaign.id).where(Campaign.deleted_at.is_(None)).order_by(Campaign.id)
            found = session.scalars(query if campaign_id is None else query.where(Campaign.id == campaign_id)).all()
        if campaign_id is not None and not found:
            raise UsageError(f"There is no campaign {campaign_id}.")
        for each in found:
            try:
                with sessions.begin() as session:
                    answers[str(each)] = rebuild(session, each)
            # Whatever a row of another time may hold; the others are rebuilt all the same.
            except (ServiceError, LookupError, TypeError, ValueError) as error:
                unreadable[str(each)] = f"{type(error).__name__}: {error}"
    total = sum(each.standings for each in answers.values())
    differed = sum(each.differed for each in answers.values())
    if as_json:
        campaigns = [{"campaign": each, **asdict(rebuilt)} for each, rebuilt in answers.items()]
        print_json({"standings": total, "differed": differed, "campaigns": campaigns, "unreadable": unreadable})
    else:
        typer.echo(f"{total} standings of {len(answers)} campaigns rebuilt; {differed} differed from what was stored.")
    for name, why in unreadable.items():
        say(f"The standings of {name} could not be rebuilt and stay as they were. {why}")
    if differed:
        changed = ", ".join(each for each, rebuilt in answers.items() if rebuilt.differed)
        say(f"Not as they were stored were those of {changed}; now they are what the measurements say.")
        raise typer.Exit(ExitCode.ERROR)
    if unreadable:
        raise typer.Exit(ExitCode.UNREADABLE)

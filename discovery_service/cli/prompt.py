"""`discovery prompt`: what a campaign's next round would ask, or what one of its rounds asked."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from discovery_service.cli.database import database_errors, find_database
from discovery_service.cli.output import AsJson, print_json, printable, say
from discovery_service.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from discovery_service.engine.next_prompts import NextPrompts, Shown


def prompt(
    campaign_id: Annotated[UUID, typer.Argument(metavar="CAMPAIGN", help="Its id.")],
    number: Annotated[
        int | None, typer.Option("--round", min=1, help="One that is stored; the next unless given.")
    ] = None,
    slot: Annotated[int | None, typer.Option(min=0, help="Of that round; the first unless given.")] = None,
    turn: Annotated[int | None, typer.Option(min=0, help="0, or that of a correction; 0 unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the next first prompt of each kind of proposer, from the rounds that are closed, or a stored prompt."""
    from discovery_service.db.sessions import make_sessions
    from discovery_service.engine.campaigns import get_campaign
    from discovery_service.engine.next_prompts import get_stored_prompt, list_next_prompts

    if number is None and (slot is not None or turn is not None):
        raise UsageError("Name the round too: --round N --slot K.")
    sessions = make_sessions(find_database(), pool_size=1)
    with database_errors(), sessions() as session:
        try:
            campaign = get_campaign(session, campaign_id)
            if number is not None:
                _print([get_stored_prompt(session, campaign_id, number, slot or 0, turn or 0)], as_json=as_json)
                return
            found = list_next_prompts(session, campaign)
        except ServiceError as error:
            raise UsageError(error.detail) from error
    _print(found.shown, as_json=as_json)
    _tell_others(found)


def _print(shown: "Sequence[Shown]", *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(each) for each in shown])
        return
    for each in shown:
        whom = f"{each.proposer}{f' {each.model}' if each.model else ''}"
        correction = f", correction {each.turn}" if each.turn else ""
        sees = ", ".join(map(str, each.sees))
        typer.echo(printable(f"=== round {each.round}, slot {each.slot}{correction}: {whom}; sees rounds {sees}"))
        if not each.messages:
            typer.echo(f"It reads the archive itself: {_tell_request(each.request)}.")
        for message in each.messages:
            typer.echo(printable(f"--- {message['role']}\n{message['content']}"))


def _tell_request(request: "dict[str, list[list[int]] | str]") -> str:
    """Places as the prompts write them."""
    places = {
        role: ", ".join(f"{place[0]}.{place[1]}" for place in request[role]) for role in ("parents", "inspirations")
    }
    told = [str(request["kind"])]
    told += [f"{role} {listed}" for role, listed in places.items() if listed]
    return ", ".join(told)


def _tell_others(found: "NextPrompts") -> None:
    for each in found.without_a_slot:
        say(f"{each} gets no slot of this round.")
    if found.is_search_over:
        say("The search is over: this is what another round would ask.")

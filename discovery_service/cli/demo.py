"""`discovery demo`: the local stack up, one campaign from its first proposal to its verdict, all stopped again."""

import os
import shutil
import signal
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from discovery_service.cli.demo_report import (
    Exported,
    Findings,
    export_best,
    print_findings,
    read_findings,
    tell_export,
)
from discovery_service.cli.demo_spec import NAMED, Plan, choose_arena, plan_demo
from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, as_plain, print_json, printable, say
from discovery_service.cli.own_stack import OwnStack
from discovery_service.cli.watch import Milestones, Paused, raise_when_paused, watch_live
from discovery_service.client import Campaign, Client
from discovery_service.domain.families import Family
from discovery_service.settings import get_openai_settings, get_settings

if TYPE_CHECKING:
    from discovery_service.local.state import ApiAccess

MODULE = "discovered_loss.py"


def demo(
    *,
    arena: Annotated[
        str | None, typer.Option(help="Where it searches, as `discovery arena list` shows it; panel unless given.")
    ] = None,
    family: Annotated[Family | None, typer.Option(help="Whose losses it searches among; the arena's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides every random choice of the search.")] = 1,
    data: Annotated[Path, typer.Option(help="Where the local stack keeps its data.")] = Path(".demo"),
    as_json: AsJson = False,
) -> None:
    """See it work: start everything, search, confirm, export, stop. On this machine alone; the campaign is kept."""
    from discovery_service.local.address import find_address
    from discovery_service.local.directory import open_data_dir
    from discovery_service.local.state import api_access_path, find_api_access

    model = get_settings().llm.model if get_openai_settings().openai_api_key is not None else None
    plan = plan_demo(choose_arena(arena, family), seed, model)
    data_dir = open_data_dir(data)
    address = find_address("127.0.0.1", 0)
    say(f"Starting PostgreSQL, Redis, the API and the workers in {data_dir} …")
    # Told to end, it ends as by Ctrl-C, so that nothing stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with OwnStack(data_dir, address.port) as stack:
        stack.wait_until(address.is_ready)
        access = find_api_access(data_dir)
        assert access is not None, "the stack writes its key before the API starts"
        say(f"Ready at {access.url}.")
        code = _run(plan, access, data_dir, as_json=as_json)
        say("Stopping everything in order …")
    say(
        "The campaign is kept. To look at it, start the stack again, at the same address:\n"
        f"  {_program()} up --data {quote(str(data))} --port {address.port}\n"
        f"Then {access.url} shows it in a browser, with the api_key in {api_access_path(data)}; and in another"
        " terminal:\n"
        f"  DISCOVERY__LOCAL__DATA_DIR={quote(str(data))} {_program()} campaign list"
    )
    raise typer.Exit(code)


def _run(plan: Plan, access: "ApiAccess", data_dir: Path, *, as_json: bool) -> ExitCode:
    for sentence in plan.told:
        say(sentence)
    with Client(access.url, access.api_key) as client:
        for left in cancel_unfinished(client):
            say(f"An earlier demo was interrupted here. What it left is cancelled: {left.name} ({left.id}).")
        created = client.campaigns.create(name=plan.name, spec=plan.spec)
        try:
            campaign = _follow(client, created)
        except Paused:
            campaign = client.campaigns.read(created.id)
            say(f"The campaign is paused, so the demo ends here: {campaign.status_reason}")
            return ExitCode.ERROR
        found = read_findings(client, campaign)
        exported = export_best(client, found, data_dir / MODULE)
    if as_json:
        print_json(_as_document(found, exported, access.url))
    else:
        print_findings(found)
        for line in tell_export(exported):
            typer.echo(printable(line))
        typer.echo(f"The API: {access.url}")
    if campaign.status != "completed":
        return ExitCode.CAMPAIGN_FAILED
    return ExitCode.OK if exported is None or exported.has_passed else ExitCode.ERROR


def cancel_unfinished(client: Client) -> list[Campaign]:
    """What demos before this one have left running: it would go on beside this one, and spend. Paused ones stay."""
    going_on = client.campaigns.list(status=("queued", "running"))
    return [client.campaigns.cancel(each.id) for each in list(going_on) if each.name.startswith(NAMED)]


def _follow(client: Client, campaign: Campaign) -> Campaign:
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        return watch_live(client, campaign.id, console, on_event=raise_when_paused)
    milestones = Milestones(lambda: client.campaigns.read(campaign.id), say)
    return client.campaigns.wait(campaign.id, on_event=milestones.hear)


def _as_document(found: Findings, exported: Exported | None, url: str) -> dict[str, object]:
    return {
        "campaign": as_plain(found.campaign),
        "leaderboard": as_plain(found.search),
        "held_out": [as_plain(each) for each in found.held_out],
        "has_found": found.has_found,
        "module": None if exported is None else str(exported.path),
        "is_confirmed": exported is not None and exported.is_confirmed,
        "check": None if exported is None else exported.check,
        "url": url,
    }


def _program() -> str:
    """How this command is called from here: it need not be on the PATH."""
    return "discovery" if shutil.which("discovery") else os.path.relpath(Path(sys.executable).with_name("discovery"))

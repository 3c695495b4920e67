"""`discovery campaign …`: everything that a user does with campaigns, through the API."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, as_plain, print_json, print_json_line, say
from discovery_service.cli.plan import plan
from discovery_service.cli.rounds import order, propose, rounds
from discovery_service.cli.show_campaign import print_campaign, print_campaigns, print_event, print_standings
from discovery_service.cli.spec_file import read_campaign, read_text
from discovery_service.cli.watch import watch_live
from discovery_service.client import Campaign
from discovery_service.errors import UsageError
from discovery_service.losses.exported_source import take_loss

group = typer.Typer(no_args_is_help=True, help="Create, follow and steer campaigns.")
for command in (plan, propose, order, rounds):
    group.command()(command)

CampaignId = Annotated[UUID, typer.Argument(metavar="ID", help="As `discovery campaign list` shows it.")]
Name = Annotated[str | None, typer.Option(help="What people call it.")]
Notes = Annotated[str | None, typer.Option(help="For people; the search does not read them.")]
Guidance = Annotated[str | None, typer.Option(help="Free text that goes into every prompt.")]
BudgetOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=NUMBER", help="A hard stop, such as candidates=24; NAME=none lifts it. Repeatable."),
]


@group.command()
def create(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="YAML or JSON with name and spec; - reads standard input."),
    ] = None,
    *,
    name: Name = None,
    notes: Notes = None,
    arena: Annotated[str | None, typer.Option(help="Where the search happens, such as panel:mini.")] = None,
    held_out: Annotated[list[str] | None, typer.Option(help="An arena to confirm in. Repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice of the search.")] = None,
    guidance: Guidance = None,
    budget: BudgetOption = None,
    as_json: AsJson = False,
) -> None:
    """Create a campaign from a file, from options, or from both: an option wins over the file."""
    body = {"spec": {}} if file is None else read_campaign(file)
    body |= _given(name=name, notes=notes)
    spec = body["spec"] | _given(arena=arena, held_out_arenas=held_out, seed=seed, guidance=guidance)
    if budget:
        spec["budgets"] = spec.get("budgets", {}) | _budgets(budget)
    lacking = [option for option, given in (("name", body), ("arena", spec)) if option not in given]
    if lacking:
        options = " and ".join(f"--{each}" for each in lacking)
        raise UsageError(f"The campaign has no {' and no '.join(lacking)}: give {options}, or a FILE that says it.")
    with connect() as client:
        campaign = client.campaigns.create(name=body["name"], notes=body.get("notes", ""), spec=spec)
    _show(campaign, as_json)


@group.command("list")
def list_all(
    status: Annotated[list[str] | None, typer.Option(help="Only those of this status. Repeatable.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="The archived ones instead of the others.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List campaigns, the newest first."""
    with connect() as client:
        found = client.campaigns.list(status=status or (), archived=archived, limit=min(limit, 200))
        campaigns = list(islice(found, limit))
    if as_json:
        print_json([as_plain(each) for each in campaigns])
    else:
        print_campaigns(campaigns)


@group.command()
def show(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Show one campaign with its spec and its progress."""
    with connect() as client:
        _show(client.campaigns.read(campaign_id), as_json)


@group.command()
def standings(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Show how each loss stands: screened, frozen and confirmed, with intervals."""
    with connect() as client:
        found = client.campaigns.standings(campaign_id)
    if as_json:
        print_json(as_plain(found))
    else:
        print_standings(found)


@group.command()
def watch(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Follow it until it has ended: live on a terminal, an event a line elsewhere. Exit code 3 when it has failed."""
    from rich.console import Console

    console = Console()
    with connect() as client:
        if console.is_terminal and not as_json:
            campaign = watch_live(client, campaign_id, console)
        else:
            campaign = client.campaigns.wait(
                campaign_id, on_event=(lambda event: print_json_line(as_plain(event))) if as_json else print_event
            )
    say(f"The campaign is {campaign.status}{f': {campaign.status_reason}' if campaign.status_reason else '.'}")
    if campaign.status == "failed":
        raise typer.Exit(ExitCode.CAMPAIGN_FAILED)


@group.command()
def edit(
    campaign_id: CampaignId,
    *,
    name: Name = None,
    notes: Notes = None,
    guidance: Guidance = None,
    budget: BudgetOption = None,
    as_json: AsJson = False,
) -> None:
    """Change name, notes, guidance or budgets; what is not given stays."""
    if not budget and not _given(name=name, notes=notes, guidance=guidance):
        raise UsageError("Nothing to change: give --name, --notes, --guidance or --budget.")
    budgets = _budgets(budget) if budget else None
    with connect() as client:
        _show(client.campaigns.edit(campaign_id, name=name, notes=notes, guidance=guidance, budgets=budgets), as_json)


@group.command()
def pause(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Start nothing new; what runs may finish."""
    with connect() as client:
        _tell(client.campaigns.pause(campaign_id), as_json)
    say("Nothing new begins; what runs may still end, and counts.")


@group.command()
def resume(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Go on where it was paused."""
    with connect() as client:
        _tell(client.campaigns.resume(campaign_id), as_json)


@group.command()
def cancel(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """End it: waiting work is dropped, running work told to stop. What was measured stays."""
    with connect() as client:
        _tell(client.campaigns.cancel(campaign_id), as_json)


@group.command()
def extend(
    campaign_id: CampaignId,
    budget: Annotated[
        list[str], typer.Option(metavar="NAME=NUMBER", help="A new limit, such as candidates=48. Repeatable.")
    ],
    with_loss: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A loss of your own, which has one of the first places. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Have a completed campaign go on with wider budgets; earlier verdicts stay, new ones are on fresh draws."""
    candidates = [{"source": take_loss(read_text(file))} for file in with_loss or ()]
    with connect() as client:
        extended = client.campaigns.extend(campaign_id, budgets=_budgets(budget), candidates=candidates)
        _tell(extended, as_json)


@group.command()
def clone(campaign_id: CampaignId, name: Name = None, as_json: AsJson = False) -> None:
    """Create a campaign with the same spec."""
    with connect() as client:
        _show(client.campaigns.clone(campaign_id, name=name), as_json)


@group.command()
def archive(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Take an ended campaign out of the ordinary list."""
    with connect() as client:
        _tell(client.campaigns.archive(campaign_id), as_json)


@group.command()
def unarchive(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Put it back on the list."""
    with connect() as client:
        _tell(client.campaigns.unarchive(campaign_id), as_json)


@group.command()
def delete(campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Take a campaign off every list, if nothing of it runs. What was measured stays."""
    with connect() as client:
        client.campaigns.delete(campaign_id)
    if as_json:
        print_json({"id": str(campaign_id), "deleted": True})
    else:
        typer.echo(f"{campaign_id} is deleted.")


def _show(campaign: Campaign, as_json: bool) -> None:
    if as_json:
        print_json(as_plain(campaign))
    else:
        print_campaign(campaign)


def _tell(campaign: Campaign, as_json: bool) -> None:
    """After a command its effect is what matters, not the whole campaign."""
    if as_json:
        print_json(as_plain(campaign))
    else:
        typer.echo(f"{campaign.id} is {campaign.status}{', archived' if campaign.archived_at else ''}.")


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _budgets(options: list[str]) -> dict[str, float | None]:
    budgets = {}
    for option in options:
        name, _, value = option.partition("=")
        try:
            number = None if value == "none" else json.loads(value)
        except ValueError:
            number = value
        if not name or isinstance(number, bool) or not isinstance(number, int | float | None):
            raise UsageError(f"--budget {option}: write NAME=NUMBER, such as candidates=24, or NAME=none.")
        budgets[name] = number
    return budgets

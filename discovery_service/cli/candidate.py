"""`discovery candidate …`: one loss, its source, relatives, trainings, and what it earns for its KL."""

from itertools import islice
from typing import Annotated
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.named_losses import find_loss
from discovery_service.cli.output import AsJson, as_plain, print_code, print_json, say
from discovery_service.cli.show_candidate import print_candidate, print_evaluations, print_frontier
from discovery_service.cli.show_lineage import print_lineage

group = typer.Typer(no_args_is_help=True, help="Look at one loss of a campaign.")

Loss = Annotated[str, typer.Argument(metavar="LOSS", help="Its id; with --campaign its name will do.")]
InCampaign = Annotated[UUID | None, typer.Option("--campaign", metavar="ID", help="Whose loss of that name.")]
Arena = Annotated[str | None, typer.Option(help="One of the held-out arenas instead of that of the search.")]


@group.command()
def show(loss: Loss, campaign: InCampaign = None, as_json: AsJson = False) -> None:
    """Show where it is from, what the gate found, its curve beside the reference's, how it stands, and what it cost."""
    with connect() as client:
        candidate_id = find_loss(client, campaign, loss)
        found = client.candidates.read(candidate_id)
        if as_json:
            print_json(as_plain(found))
        else:
            print_candidate(found, client.candidates.curve(candidate_id))


@group.command()
def source(
    loss: Loss,
    campaign: InCampaign = None,
    sent: Annotated[bool, typer.Option("--sent", help="As its author wrote it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show its source as the gate writes it; what was never accepted, as it was sent."""
    with connect() as client:
        found = client.candidates.source(find_loss(client, campaign, loss))
    if as_json:
        print_json(as_plain(found))
        return
    if found.readable is None and not sent:
        say(f"{found.name} has not passed the gate: this is what was sent.")
    print_code((found.sent if sent or found.readable is None else found.readable).text, "python")


@group.command()
def lineage(
    loss: Loss,
    campaign: InCampaign = None,
    diff: Annotated[bool, typer.Option("--diff", help="With what changed in the source at each step.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what it was made from and what was made from it, and how each of them stands."""
    with connect() as client:
        found = client.candidates.lineage(find_loss(client, campaign, loss))
    if as_json:
        print_json(as_plain(found))
    else:
        print_lineage(found, with_diffs=diff)


@group.command()
def evaluations(
    loss: Loss,
    campaign: InCampaign = None,
    arena: Annotated[str | None, typer.Option(help="Only those in this one.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="Such as screen. Repeatable.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List its trainings with what each measured; --json has the series too."""
    with connect() as client:
        candidate_id = find_loss(client, campaign, loss)
        every = client.candidates.evaluations(candidate_id, arena=arena, purpose=purpose or (), limit=min(limit, 50))
        found = list(islice(every, limit))
    if as_json:
        print_json([as_plain(each) for each in found])
    else:
        print_evaluations(found)


@group.command()
def frontier(loss: Loss, campaign: InCampaign = None, arena: Arena = None, as_json: AsJson = False) -> None:
    """Show what it earns for its KL at each setting that was tried, beside the reference."""
    with connect() as client:
        found = client.candidates.frontier(find_loss(client, campaign, loss), arena=arena)
    if as_json:
        print_json(as_plain(found))
    else:
        print_frontier(found)

"""`discovery reproduce`, which needs torch and a jail, and no server."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, print_json, print_line, print_table, say
from workers.reproduce.names import PaperName

_EXITS = {"measured": ExitCode.OK, "unavailable": ExitCode.JAIL_UNAVAILABLE, "failed": ExitCode.ERROR}


def reproduce(
    paper: Annotated[PaperName, typer.Argument(help="Whose claims.")],
    *,
    seeds: Annotated[
        int | None, typer.Option(min=2, max=100, help="Of each world; as many as its lines are drawn for unless given.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Three seeds, shorter trainings, halved lines, and only DiscoPOP in an arena."),
    ] = False,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw what was measured, as PNG files.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check what the papers claim, each in a small world of its own, with the library's losses.

    Two verdicts each: whether the effect has the paper's sign, and whether it reaches the line. Exit code 0 whatever
    they are, 1 when a loss cannot be trained with, 4 when no jail can be locked here.
    """
    from discovery_service.cli.library_campaigns import LibraryCampaigns
    from workers.reproduce.claims import COLUMNS, tabulate
    from workers.reproduce.command import reproduce as run

    # Told to end, it ends as by Ctrl-C, and the stack of its campaigns with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with LibraryCampaigns() as campaigns:
        answer = run(paper, campaigns, seeds=seeds, is_quick=quick, plots=plots)
    if as_json:
        print_json(answer)
    elif answer["claims"]:
        print_table(COLUMNS, tabulate(answer["claims"]))
        print_line("Figures with 95 % intervals over seeds. A threshold is for the mean; a direction, for all of it.")
    if "message" in answer:
        say(answer["message"])
    raise typer.Exit(_EXITS[answer["status"]])

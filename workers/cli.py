"""The commands `discovery worker` and `discovery beat`; they join the CLI through its entry-point group.

What they run is imported when they run: every `discovery` command loads this module.
"""

from importlib.util import find_spec
from typing import Annotated

import typer

from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, print_json, print_line
from discovery_service.domain.families import Family
from workers.kinds import WorkerKind

GATE_EXITS = {"accepted": ExitCode.OK, "refused": ExitCode.REFUSED, "unavailable": ExitCode.JAIL_UNAVAILABLE}


def worker(
    kind: Annotated[WorkerKind, typer.Argument(help="Which queue to work on.")],
    name: Annotated[
        str | None,
        typer.Option(help="Name of this worker, one of its own for each; KIND@HOST unless given."),
    ] = None,
) -> None:
    """Take work of one kind from its queue until stopped."""
    from workers.start import run_worker

    raise typer.Exit(run_worker(kind, name))


def beat() -> None:
    """Send the periodic tasks. One is enough; a second one does no harm."""
    from discovery_service.logs import configure_logs
    from discovery_service.settings import get_settings
    from workers.celery_app import make_app

    settings = get_settings()
    configure_logs(settings.log)
    make_app(settings).Beat(quiet=True, loglevel=settings.log.level).run()


def gate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A source in Python, or - for what comes in.")],
    *,
    family: Annotated[Family, typer.Option(help="Whose inputs it may ask for.")] = Family.PAIRWISE,
    reply: Annotated[bool, typer.Option("--reply", help="The file is a language model's reply, not a source.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a loss through the gate. Exit code 0 accepted, 5 refused, 4 when no jail can be locked here."""
    from workers.gate.command import judge_file, tell

    answer = judge_file(file, family, is_reply=reply)
    if as_json:
        print_json(answer)
    else:
        for line in tell(answer):
            print_line(line)
    raise typer.Exit(GATE_EXITS[answer["status"]])


def register(app: typer.Typer) -> None:
    """Add the commands, unless what workers execute is not installed, as in the API's image."""
    if find_spec("torch") is None:
        return
    app.command()(worker)
    app.command()(beat)
    app.command()(gate)

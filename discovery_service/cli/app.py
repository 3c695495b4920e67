"""Puts the commands together, and turns every foreseen error into a sentence and an exit code."""

from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from discovery_service.cli import (
    campaign,
    candidate,
    database,
    demo,
    doctor,
    export,
    keys,
    leaderboard,
    local,
    prompt,
    rescore,
    rounds,
    settings,
    workers,
)
from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import is_json, print_json, say, say_fields
from discovery_service.client import ApiError, ConnectionFailed, DiscoveryError, Unauthorized, Unprocessable
from discovery_service.errors import UsageError
from discovery_service.version import VERSION

COMMANDS_GROUP = "discovery_service.commands"


class RootGroup(TyperGroup):
    """Everything below runs inside this one's `invoke`, commands of other packages too."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            say(str(error))
            raise typer.Exit(ExitCode.USAGE) from error
        except ApiError as error:
            say(error.detail)
            say_fields(error.errors)
            if is_json(ctx):
                print_json(error.problem)
            is_usage = isinstance(error, Unprocessable | Unauthorized)
            raise typer.Exit(ExitCode.USAGE if is_usage else ExitCode.ERROR) from error
        except ConnectionFailed as error:
            say(f"{error} Start the service there, or one on this machine with `discovery up`.")
            raise typer.Exit(ExitCode.ERROR) from error
        except DiscoveryError as error:
            say(str(error))
            raise typer.Exit(ExitCode.ERROR) from error


def _show_version(value: bool) -> None:
    if value:
        typer.echo(VERSION)
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Finds training objectives for language-model alignment, and says when it found none."""


def make_app() -> typer.Typer:
    app = typer.Typer(
        name="discovery",
        cls=RootGroup,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    app.command()(local.up)
    app.command()(local.api)
    app.add_typer(campaign.group, name="campaign")
    app.add_typer(candidate.group, name="candidate")
    app.add_typer(keys.group, name="keys")
    app.add_typer(database.group, name="db")
    app.add_typer(settings.group, name="settings")
    app.command()(leaderboard.leaderboard)
    app.command("round")(rounds.show_round)
    app.command()(export.export)
    app.command()(prompt.prompt)
    app.command()(rescore.rescore)
    app.command()(workers.workers)
    app.command()(doctor.doctor)
    app.command()(demo.demo)
    _join_others(app)
    return app


def _join_others(app: typer.Typer) -> None:
    """Commands of other packages, all of which need torch: where it is not installed they are absent, not broken."""
    if find_spec("torch") is None:
        return
    for entry in sorted(entry_points(group=COMMANDS_GROUP), key=lambda entry: entry.name):
        entry.load()(app)


def main() -> None:
    make_app()(prog_name="discovery")

"""`discovery db …`: bring the schema up to date, and see whether it is."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, print_json, say
from discovery_service.errors import UsageError
from discovery_service.settings import get_settings, required

group = typer.Typer(no_args_is_help=True, help="The schema of the database.")


def find_database() -> str:
    """The URL that is set, else that of the stack which `discovery up` runs here."""
    from discovery_service.local.state import find_api_access

    settings = get_settings()
    if settings.db.url is not None:
        return settings.db.url.get_secret_value()
    local = find_api_access(settings.local.data_dir)
    if local is None or local.database_url is None:
        raise UsageError(
            "No database is known. Set DISCOVERY__DB__URL, or start one here with `discovery up` (looked for it in "
            f"{settings.local.data_dir}; of a stack with another --data, say DISCOVERY__LOCAL__DATA_DIR=… here)."
        )
    return local.database_url


@contextmanager
def database_errors() -> Iterator[None]:
    """What is wrong with a database that a person named, in a sentence."""
    from psycopg.errors import UndefinedTable
    from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

    try:
        yield
    except ArgumentError as error:
        raise UsageError("DISCOVERY__DB__URL is no URL of a database; write postgresql://USER@HOST/NAME.") from error
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0].rstrip(".")
        advice = "Check DISCOVERY__DB__URL." if get_settings().db.url else "Does `discovery up` run?"
        raise UsageError(f"The database cannot be reached: {reason}. {advice}") from error
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedTable):
            raise
        raise UsageError("The database has no tables yet. Run `discovery db upgrade`.") from error


@group.command()
def upgrade(as_json: AsJson = False) -> None:
    """Bring the schema to this version, as the owner: DISCOVERY__DB__OWNER_URL, or else DISCOVERY__DB__URL."""
    from discovery_service.db.migrate import head_revision
    from discovery_service.db.migrate import upgrade as migrate

    db = get_settings().db
    service_url = db.url.get_secret_value() if db.url else None
    with database_errors():
        migrate(required(db.owner_url or db.url, "DISCOVERY__DB__URL"), service_url)
    if as_json:
        print_json({"schema_revision": head_revision()})
    else:
        typer.echo(f"The schema is at {head_revision()}, the newest.")


@group.command()
def check(as_json: AsJson = False) -> None:
    """See whether the schema fits this version; exit code 1 when it does not."""
    from discovery_service.db.migrate import NEWER, compare_schema, find_revision, head_revision
    from discovery_service.db.sessions import make_sessions

    db = get_settings().db
    url = required(db.url or db.owner_url, "DISCOVERY__DB__URL")
    with database_errors(), make_sessions(url, pool_size=1)() as session:
        revision = find_revision(session)
    head, schema = head_revision(), compare_schema(revision)
    if as_json:
        print_json({"schema_revision": revision, "newest": head, "is_newest": schema == "ok"})
    elif schema == "ok":
        typer.echo(f"The schema is at {revision}, the newest.")
    if schema != "ok":
        behind = f"The schema is at {revision or 'nothing'}, the newest is {head}. Run `discovery db upgrade`."
        say(NEWER if schema == "newer" else behind)
        raise typer.Exit(ExitCode.ERROR)

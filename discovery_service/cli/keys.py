"""`discovery keys …`: API keys, through the API; the very first one straight into the database."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from discovery_service.cli.connection import connect
from discovery_service.cli.database import database_errors
from discovery_service.cli.output import AsJson, as_plain, print_json, print_table, say
from discovery_service.domain.access import Scope
from discovery_service.settings import get_settings, required

group = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@group.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, or what for.")],
    *,
    scope: Annotated[list[Scope], typer.Option(help="What it may do. Repeatable; admin includes the others.")],
    expires_at: Annotated[
        datetime | None, typer.Option(help="From then on it opens nothing; the time of this machine's zone.")
    ] = None,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Write it into the database of DISCOVERY__DB__URL; for the first key."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: this once, for it is stored nowhere."""
    expires_at = expires_at and expires_at.astimezone()
    if direct:
        key = _create_directly(name, scope, expires_at)
    else:
        with connect() as client:
            key = as_plain(client.keys.create(name=name, scopes=scope, expires_at=expires_at))
    if as_json:
        print_json(key)
    else:
        say(f"The key {key['name']} ({key['id']}), for {', '.join(key['scopes'])}. Keep it, it is shown this once:")
        typer.echo(key["token"])


def _create_directly(name: str, scopes: list[Scope], expires_at: datetime | None) -> dict[str, Any]:
    """The same document that the API would answer, made without it."""
    from discovery_service.api.schemas.keys import KeyCreated, KeyRead
    from discovery_service.db.sessions import make_sessions
    from discovery_service.engine.keys import create_key

    settings = get_settings()
    url = required(settings.db.url, "DISCOVERY__DB__URL")
    secret = required(settings.api.key_secret, "DISCOVERY__API__KEY_SECRET")
    with database_errors(), make_sessions(url, pool_size=1).begin() as session:
        key, token = create_key(session, name=name, scopes=scopes, secret=secret, expires_at=expires_at)
        return KeyCreated(**KeyRead.model_validate(key).model_dump(), token=token).model_dump(mode="json")


@group.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List keys, the newest first, revoked ones too."""
    with connect() as client:
        keys = list(client.keys.list())
    if as_json:
        print_json([as_plain(each) for each in keys])
        return
    print_table(
        ("id", "name", "key", "scopes", "created", "last used", "expires", "revoked"),
        (
            (
                each.id,
                each.name,
                f"{each.prefix}…{each.last_four}",
                ", ".join(each.scopes),
                each.created_at,
                each.last_used_at,
                each.expires_at,
                each.revoked_at,
            )
            for each in keys
        ),
        spare=("created", "last used"),
    )


@group.command()
def revoke(
    key_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `discovery keys list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """From now on the key opens nothing."""
    with connect() as client:
        key = client.keys.revoke(key_id)
    if as_json:
        print_json(as_plain(key))
    else:
        typer.echo(f"The key {key.name} ({key.id}) is revoked.")

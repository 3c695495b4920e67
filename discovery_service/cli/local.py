"""`discovery up` and `discovery api`: what runs until it is stopped."""

import os
from pathlib import Path
from typing import Annotated

import typer

from discovery_service.settings import get_settings

Host = Annotated[str | None, typer.Option(help="Address to listen on; DISCOVERY__API__HOST unless given.")]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port to listen on, 0 takes a free one; DISCOVERY__API__PORT unless given."),
]


def up(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Where everything is kept; DISCOVERY__LOCAL__DATA_DIR unless given.")
    ] = None,
    host: Host = None,
    port: Port = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Evaluations at once; unless given one a card, without cards one a core.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="Use this PostgreSQL; DISCOVERY__DB__URL unless given, else one is started.")
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Use this Redis; DISCOVERY__REDIS__URL unless given, else one is started.")
    ] = None,
) -> None:
    """Run everything on this machine until Ctrl-C. The servers, the API, the workers, and a key for the CLI."""
    from discovery_service.local.stack import StackOptions, run_stack

    settings = get_settings()
    db = settings.db
    set_database_url = db.url.get_secret_value() if db.url else None
    set_redis_url = settings.redis.url.get_secret_value() if settings.redis.url else None
    code = run_stack(
        StackOptions(
            data_dir=data or settings.local.data_dir,
            host=host or settings.api.host,
            port=settings.api.port if port is None else port,
            slots=workers or settings.worker.slots,
            database_url=database_url or set_database_url,
            owner_url=db.owner_url.get_secret_value() if db.owner_url and not database_url else None,
            redis_url=redis_url or set_redis_url,
            environment=os.environ,
        )
    )
    raise typer.Exit(code)


def api(host: Host = None, port: Port = None) -> None:
    """Run the API alone, on the servers of the settings."""
    from discovery_service.api.server import serve
    from discovery_service.logs import configure_logs

    settings = get_settings()
    configure_logs(settings.log)
    changed = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    serve(settings.model_copy(update={"api": settings.api.model_copy(update=changed)}))

"""Runs migrations on the connection that it is given, or as `settings.db.owner_url` when called by `alembic`."""

from alembic import context
from sqlalchemy import Connection, create_engine

from discovery_service.db.tables import Base
from discovery_service.settings import get_settings, required


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    db = get_settings().db
    with create_engine(required(db.owner_url or db.url, "DISCOVERY__DB__OWNER_URL")).begin() as own:
        run(own)

"""Brings a database to the newest schema and tells how far it is. Alembic is loaded only when this is used."""

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg.errors
import structlog
from psycopg import sql
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from discovery_service.db.sessions import SERVICE_ROLE
from discovery_service.errors import UsageError

log = structlog.get_logger(__name__)

if TYPE_CHECKING:
    from alembic.config import Config


def _config(connection: Connection | None = None) -> "Config":
    from alembic.config import Config

    import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(owner_url: str, service_url: str | None = None) -> None:
    """Migrate to the newest schema, as the owner; give the service's login the password that its URL carries."""
    from alembic import command

    engine = create_engine(owner_url, connect_args={"connect_timeout": 5})
    try:
        with engine.begin() as connection:
            # Two machines may start at once; the second waits here and then finds nothing to do.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('discovery_service.migrate'))"))
            command.upgrade(_config(connection), "head")
            _set_service_password(connection, service_url)
    except OperationalError as error:
        raise UsageError(f"The database cannot be reached: {_first_line(error)}. Check DISCOVERY__DB__URL.") from error
    except ProgrammingError as error:
        if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise UsageError(
                f"The database's owner may not do that: {_first_line(error)}. It needs CREATEROLE, "
                f"or an administrator creates the role {SERVICE_ROLE} and grants it to the owner."
            ) from error
        raise
    finally:
        engine.dispose()


def _set_service_password(connection: Connection, service_url: str | None) -> None:
    url = make_url(service_url) if service_url else None
    if url is None or url.username != SERVICE_ROLE or url.password is None:
        return
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SERVICE_ROLE), str(url.password))
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement.as_string(driver).replace("%", "%%"))
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        log.warning("migrate.password_not_set", role=SERVICE_ROLE, reason="the owner may not; an administrator has to")


def downgrade(owner_url: str, revision: str) -> None:
    from alembic import command

    engine = create_engine(owner_url)
    try:
        with engine.begin() as connection:
            command.downgrade(_config(connection), revision)
    finally:
        engine.dispose()


def head_revision() -> str:
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def find_revision(session: Session) -> str | None:
    """The schema's revision, or None where nothing was ever migrated."""
    if session.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    return session.scalar(text("SELECT version_num FROM alembic_version"))


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0].rstrip(".")

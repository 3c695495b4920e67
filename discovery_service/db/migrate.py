"""Brings a database to the newest schema and tells how far it is. Alembic is loaded only when this is used."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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

NEWER = (
    "The schema is of a newer version of discovery-service, and there is no way down: use that version, or restore what"
    " was backed up before it."
)
_HAS_RIGHTS = text("SELECT has_table_privilege(oid, 'event', 'INSERT') FROM pg_roles WHERE rolname = :role")
_NO_TEMPORARY_TABLES = text(
    "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$"
)
_EVENTS_OF_ANOTHER_CLUSTER = text(
    "UPDATE event SET xid = 0 WHERE EXISTS (SELECT FROM event"
    " WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint)"
)
"""No transaction has such an id yet, so that they would not be shown: in their order instead (docs/decisions/0005)."""

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory


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
            if compare_schema(find_revision(connection)) == "newer":
                raise UsageError(NEWER)
            command.upgrade(_config(connection), "head")
            _mend_restored(connection)
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


def _mend_restored(connection: Connection) -> None:
    """What a dump does not bring along into another cluster: rights on the database, and what transactions were."""
    if not connection.scalar(_HAS_RIGHTS, {"role": SERVICE_ROLE}):
        raise UsageError(
            f"The role {SERVICE_ROLE} has no rights on these tables, as after a restore into a cluster that did not"
            f" know it. Create it (CREATE ROLE {SERVICE_ROLE} LOGIN) and restore the dump once more, into an empty"
            " database (docs/deploy.md)."
        )
    connection.execute(_NO_TEMPORARY_TABLES)
    connection.execute(_EVENTS_OF_ANOTHER_CLUSTER)


def _set_service_password(connection: Connection, service_url: str | None) -> None:
    url = make_url(service_url) if service_url else None
    if url is None or url.username != SERVICE_ROLE or url.password is None:
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    # What the server keeps of it, and not the password: a statement that is refused stands in the server's log.
    verifier = driver.pgconn.encrypt_password(str(url.password).encode(), SERVICE_ROLE.encode()).decode()
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SERVICE_ROLE), verifier)
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


@cache
def _scripts() -> "ScriptDirectory":
    """Read once: readiness is asked for every few seconds."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())


def head_revision() -> str:
    head = _scripts().get_current_head()
    assert head is not None
    return head


def find_revision(database: Session | Connection) -> str | None:
    """The schema's revision, or None where nothing was ever migrated."""
    if database.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    return database.scalar(text("SELECT version_num FROM alembic_version"))


def compare_schema(revision: str | None) -> Literal["ok", "newer", "behind"]:
    """Newer where a later version has migrated: of this one no migration has that name."""
    if revision == head_revision():
        return "ok"
    is_known = revision is None or revision in {each.revision for each in _scripts().walk_revisions()}
    return "behind" if is_known else "newer"


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0].rstrip(".")

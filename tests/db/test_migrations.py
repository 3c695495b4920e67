import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

from discovery_service.db.columns import Base
from discovery_service.db.migrate import downgrade, find_revision, head_revision, upgrade
from discovery_service.db.sessions import SERVICE_ROLE, Sessions, make_sessions
from discovery_service.db.tables import Proposal
from discovery_service.engine.events import record
from discovery_service.errors import UsageError
from discovery_service.local.postgres import Postgres, running_postgres
from tests import rows
from tests.conftest import Database
from tests.db.catalog import WHAT_THE_ORM_KNOWS, read_catalog


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def test_every_migration_goes_down_and_up_again(empty_database: Database) -> None:
    upgrade(empty_database.owner_url)
    with connected(empty_database.owner_url) as connection:
        made = read_catalog(connection)
    downgrade(empty_database.owner_url, "base")
    with connected(empty_database.owner_url) as connection:
        assert not any(read_catalog(connection).values())
    upgrade(empty_database.owner_url)
    with connected(empty_database.owner_url) as connection:
        assert read_catalog(connection) == made


def test_a_step_down_leaves_the_steps_below_as_they_were(empty_database: Database) -> None:
    upgrade(empty_database.owner_url)
    downgrade(empty_database.owner_url, "0001")
    with connected(empty_database.owner_url) as connection:
        tables = {row[0] for row in read_catalog(connection, "columns")["columns"]}
    assert {"campaign", "event"} <= tables
    assert not {"round", "evaluation", "measurement"} & tables
    upgrade(empty_database.owner_url)


def test_who_answered_before_the_row_told_it_is_found_in_the_events(
    empty_database: Database, owner_of_empty: Sessions
) -> None:
    names = {"llm": ("fast", "gpt-5-mini-2025-08-07"), "recorded": (None, "recorded/panel"), "symbolic": (None, None)}

    def read(*columns: str) -> dict[str, tuple[str | None, ...]]:
        query = f"SELECT proposer, {', '.join(columns)} FROM exchange JOIN proposal ON proposal.id = proposal_id"
        with connected(empty_database.owner_url) as connection:
            return {proposer: tuple(rest) for proposer, *rest in connection.execute(text(query))}

    upgrade(empty_database.owner_url)
    with owner_of_empty.begin() as session:
        campaign = rows.add_campaign(session)
        for proposer, (model, answered_by) in names.items():
            exchange = rows.add_exchange(session, campaign)
            exchange.model, exchange.answered_by = model, answered_by
            session.get_one(Proposal, exchange.proposal_id).proposer = proposer
            told = {"model": answered_by} if answered_by else {}
            record(session, campaign.id, "exchange.answered", exchange.id, attempt=1, **told)
    downgrade(empty_database.owner_url, "0007")
    assert read("model") == {"llm": ("fast",), "recorded": ("recorded/panel",), "symbolic": (None,)}
    upgrade(empty_database.owner_url)
    assert read("model", "answered_by") == names


def test_migrations_make_what_the_orm_describes(database: Database, empty_database: Database) -> None:
    with connected(empty_database.owner_url) as connection:
        Base.metadata.create_all(connection)
        described = read_catalog(connection, *WHAT_THE_ORM_KNOWS)
    with connected(database.owner_url) as connection:
        migrated = read_catalog(connection, *WHAT_THE_ORM_KNOWS)
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    assert migrated == described


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    with connected(database.owner_url) as connection:
        before = read_catalog(connection)
    upgrade(database.owner_url, database.service_url)
    with connected(database.owner_url) as connection:
        assert read_catalog(connection) == before


def test_two_upgrades_at_once_both_end_with_the_newest_schema(
    empty_database: Database, owner_of_empty: Sessions
) -> None:
    at_once, failures = threading.Barrier(2), []

    def run() -> None:
        at_once.wait()
        try:
            upgrade(empty_database.owner_url)
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with owner_of_empty() as session:
        assert find_revision(session) == head_revision()


@pytest.fixture
def owner_of_empty(empty_database: Database) -> Iterator[Sessions]:
    engine = create_engine(empty_database.owner_url)
    yield sessionmaker(engine)
    engine.dispose()


def test_a_database_that_was_never_migrated_has_no_revision(owner_of_empty: Sessions) -> None:
    with owner_of_empty() as session:
        assert find_revision(session) is None


@pytest.fixture
def service_role(database: Database) -> Iterator[psycopg.Connection]:
    """The owner's connection, with the service's role free of a password before and after."""
    if not database.is_service_login:
        pytest.skip("the server is not ours alone: its service role keeps its password")
    free = f"ALTER ROLE {SERVICE_ROLE} PASSWORD NULL"
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute(free)
        yield connection
        connection.execute(free)


def find_password(connection: psycopg.Connection) -> str | None:
    row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [SERVICE_ROLE]).fetchone()
    assert row is not None
    return row[0]


def is_scram_of(stored: str, password: str) -> bool:
    """Whether PostgreSQL would let this password in (RFC 5802)."""
    _, parameters, keys = stored.split("$")
    iterations, salt = parameters.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return keys.split(":")[0] == base64.b64encode(hashlib.sha256(client_key).digest()).decode()


def test_the_services_login_gets_the_password_of_its_url(database: Database, service_role: psycopg.Connection) -> None:
    password = "p%4s':s \\{}"
    url = make_url(database.service_url).set(password=password)
    upgrade(database.owner_url, url.render_as_string(hide_password=False))
    stored = find_password(service_role)
    assert stored is not None
    assert is_scram_of(stored, password)


def test_no_statement_holds_the_password(database: Database, service_role: psycopg.Connection) -> None:
    """A server logs those that fail."""
    sent: list[str] = []

    def keep(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        url = make_url(database.service_url).set(password="in-the-clear")
        upgrade(database.owner_url, url.render_as_string(hide_password=False))
    finally:
        event.remove(Engine, "before_cursor_execute", keep)
    assert any(statement.startswith("ALTER ROLE") for statement in sent)
    assert not any("in-the-clear" in statement for statement in sent)


def test_a_url_without_a_password_or_of_another_login_sets_none(
    database: Database, service_role: psycopg.Connection
) -> None:
    other = make_url(database.service_url).set(username="somebody", password="secret")
    for url in (database.service_url, other.render_as_string(hide_password=False)):
        upgrade(database.owner_url, url)
    assert find_password(service_role) is None


@pytest.fixture
def young_server(tmp_path: Path) -> Iterator[Postgres]:
    """A server that has never seen the service's role, with a database of an owner who is no superuser."""
    with running_postgres(tmp_path, durable=False) as postgres:
        with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
            connection.execute("CREATE ROLE plain_owner LOGIN CREATEROLE")
            connection.execute("CREATE ROLE guest LOGIN")
            connection.execute("CREATE DATABASE plain OWNER plain_owner")
            connection.execute("CREATE DATABASE guests OWNER guest")
        yield postgres


def test_an_owner_who_may_create_roles_needs_no_superuser(young_server: Postgres) -> None:
    url = young_server.url("plain_owner", "plain")
    upgrade(url)
    sessions = make_sessions(url, pool_size=1)
    with sessions() as session:
        assert session.scalar(text("SELECT current_user")) == SERVICE_ROLE
    sessions.kw["bind"].dispose()


def test_an_owner_who_may_not_is_told_what_an_administrator_has_to_do(young_server: Postgres) -> None:
    url = young_server.url("guest", "guests")
    with pytest.raises(UsageError, match="It needs CREATEROLE, or an administrator"):
        upgrade(url)
    with psycopg.connect(young_server.owner_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {SERVICE_ROLE} LOGIN")
        connection.execute(f"GRANT {SERVICE_ROLE} TO guest")
    upgrade(url)


def test_an_unreachable_database_is_told_in_one_sentence(database: Database) -> None:
    away = make_url(database.owner_url).set(database="no_such_database").render_as_string(hide_password=False)
    with pytest.raises(UsageError, match=r"cannot be reached: .*no_such_database.* Check DISCOVERY__DB__URL\.$"):
        upgrade(away)


def test_an_owner_who_may_not_set_the_password_leaves_it_to_the_administrator(young_server: Postgres) -> None:
    with psycopg.connect(young_server.owner_url, autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {SERVICE_ROLE} LOGIN")
        administrator.execute(f"GRANT {SERVICE_ROLE} TO guest")
        service = make_url(young_server.url(SERVICE_ROLE, "guests")).set(password="theirs")
        owner_url = young_server.url("guest", "guests")
        upgrade(owner_url, service.render_as_string(hide_password=False))
        assert find_password(administrator) is None
    sessions = make_sessions(owner_url, pool_size=1)
    with sessions() as session:
        assert find_revision(session) == head_revision()
    sessions.kw["bind"].dispose()

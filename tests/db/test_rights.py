"""What the service's role may and may not do, whoever it logs in as."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from discovery_service.db.columns import Base
from discovery_service.db.migrate import upgrade
from discovery_service.db.sessions import SERVICE_ROLE, Sessions, make_sessions
from discovery_service.db.tables import Event, Finalist, Freeze, Lineage, Measurement, Seal, Standing
from discovery_service.domain.states import CandidateStatus
from tests import rows
from tests.conftest import Database

ONLY_ADDED_TO = ("measurement", '"freeze"', "finalist", "seal", "event")
FORBIDDEN = [
    *(f"UPDATE {table} SET created_at = now()" for table in ONLY_ADDED_TO),
    *(f"DELETE FROM {table}" for table in ONLY_ADDED_TO),
    *(f"TRUNCATE {table} CASCADE" for table in ONLY_ADDED_TO),
    "MERGE INTO measurement USING measurement m ON measurement.id = m.id WHEN MATCHED THEN DELETE",
    "INSERT INTO seal (freeze_id, digest) SELECT freeze_id, digest FROM seal"
    " ON CONFLICT (freeze_id) DO UPDATE SET digest = 'another'",
    "DELETE FROM campaign",
    "DELETE FROM evaluation",
    "DELETE FROM lineage",
    "UPDATE lineage SET role = 'parent'",
    *(
        f"UPDATE evaluation SET {column} = {column}"
        for column in (
            *("id", "campaign_id", "candidate_id", "arena_id", "base_policy", "setting", "setting_sha256", "purpose"),
            *("draw", "salt", "seal_id", "created_at"),
        )
    ),
    *(f"UPDATE arena SET {column} = {column}" for column in ("id", "name", "content_sha256", "family", "spec")),
    "INSERT INTO finalist SELECT * FROM finalist"
    " ON CONFLICT (freeze_id, candidate_id, rank) DO UPDATE SET setting = '{}'",
    'INSERT INTO "freeze" SELECT * FROM "freeze" ON CONFLICT (id) DO UPDATE SET plan = EXCLUDED.plan',
    "MERGE INTO finalist USING finalist f ON finalist.candidate_id = f.candidate_id"
    " WHEN MATCHED THEN UPDATE SET setting = '{}'",
    'SELECT * FROM "freeze" FOR UPDATE',
    "ALTER TABLE evaluation DROP CONSTRAINT fk_evaluation_seal_id_candidate_id_setting",
    "ALTER TABLE finalist DROP CONSTRAINT pk_finalist",
    "UPDATE alembic_version SET version_num = '0000'",
    "CREATE TABLE mine (id integer)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE measurement ADD COLUMN note text",
    "ALTER TABLE finalist DISABLE TRIGGER lock_freeze",
    "ALTER TABLE event OWNER TO CURRENT_USER",
    "DROP TABLE event",
    "DROP TRIGGER lock_freeze ON finalist",
    "DROP FUNCTION lock_freeze() CASCADE",
    "CREATE INDEX ON measurement (created_at)",
    "CREATE TRIGGER mine BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION lock_freeze()",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "SET session_replication_role = replica",
]
WAYS_OUT = ["RESET ROLE", "SET ROLE NONE", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT"]


@pytest.fixture
def service(database: Database) -> Iterator[psycopg.Connection]:
    """A connection in the service's role, however it logs in."""
    options = "" if database.is_service_login else f"-c role={SERVICE_ROLE}"
    with psycopg.connect(database.service_url, autocommit=True, options=options) as connection:
        yield connection


def list_permitted(connection: psycopg.Connection, statements: list[str]) -> list[str]:
    """Those of the statements that the connection is not refused."""
    permitted = []
    for statement in statements:
        try:
            connection.execute(statement)
        except InsufficientPrivilege:
            continue
        permitted.append(statement)
    return permitted


def test_the_service_is_refused_every_forbidden_statement(service: psycopg.Connection) -> None:
    assert list_permitted(service, FORBIDDEN) == []


def test_the_services_own_login_has_no_rights_to_fall_back_to(database: Database) -> None:
    if not database.is_service_login:
        pytest.skip("the given server knows only its owner's login")
    for way_out in WAYS_OUT:
        with psycopg.connect(database.service_url, autocommit=True) as connection:
            connection.execute(way_out)
            assert list_permitted(connection, FORBIDDEN) == []


def test_the_services_own_login_cannot_become_the_owner(database: Database) -> None:
    if not database.is_service_login:
        pytest.skip("the given server knows only its owner's login")
    with psycopg.connect(database.owner_url) as owner:
        name = owner.execute("SELECT quote_ident(current_user)").fetchone()
        assert name is not None
    with psycopg.connect(database.service_url, autocommit=True) as connection:
        for statement in (f"SET ROLE {name[0]}", f"SET SESSION AUTHORIZATION {name[0]}"):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement)


def test_the_service_makes_no_temporary_tables_either(empty_database: Database) -> None:
    # The right hangs on the database, which a clone of the template does not inherit.
    upgrade(empty_database.owner_url)
    sessions = make_sessions(empty_database.owner_url, pool_size=1)
    with sessions() as session, pytest.raises(Exception, match="permission denied to create temporary tables"):
        session.connection().exec_driver_sql("CREATE TEMPORARY TABLE mine (id integer)")
    sessions.kw["bind"].dispose()


def test_whoever_logs_in_works_in_the_services_role(database: Database) -> None:
    for url in (database.owner_url, database.service_url):
        sessions = make_sessions(url, pool_size=1)
        with sessions() as session:
            assert session.scalar(select(func.current_user())) == SERVICE_ROLE
        sessions.kw["bind"].dispose()


def test_a_transaction_that_idles_is_ended_after_30_s(sessions: Sessions) -> None:
    with sessions() as session:
        assert session.scalar(select(func.current_setting("idle_in_transaction_session_timeout"))) == "30s"


def test_the_service_reads_every_table(sessions: Sessions) -> None:
    with sessions() as session:
        for table in Base.metadata.sorted_tables:
            session.execute(select(table)).all()


def test_the_service_writes_the_whole_pipeline(sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign = rows.add_campaign(session)
        rows.add_exchange(session, campaign)
        parent, child = (rows.add_candidate(session, campaign) for _ in range(2))
        session.add(Lineage(child_id=child.id, parent_id=parent.id, role="parent"))
        freeze = rows.add_freeze(session, campaign)
        session.add(Finalist(freeze_id=freeze.id, candidate_id=child.id, role="finalist", setting={}))
        session.flush()
        session.add(Seal(freeze_id=freeze.id, digest="0"))
        rows.add_measurement(session)
        rows.add_evaluation(session, campaign, candidate=child)
        session.add(
            Standing(
                candidate_id=child.id,
                arena_id=freeze.arena_id,
                stage="screen",
                campaign_id=campaign.id,
                setting={},
                draws=3,
                figures={},
            )
        )
    with sessions.begin() as session:
        for table in (Event, Freeze, Finalist, Seal, Measurement, Lineage):
            assert session.scalar(select(func.count()).select_from(table))


def test_the_service_updates_what_moves_and_deletes_what_is_derived(sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign = rows.add_campaign(session)
        candidate = rows.add_candidate(session, campaign, status=CandidateStatus.PROPOSED)
    with sessions.begin() as session:
        session.get_one(type(candidate), candidate.id).status = CandidateStatus.GATING
        for name in ("standing", "gate_check", "idempotency"):
            session.execute(Base.metadata.tables[name].delete())


def test_a_measurement_is_inserted_once_and_pointed_to_afterwards(sessions: Sessions) -> None:
    """Insert or do nothing needs no more rights than an insert."""
    with sessions.begin() as session:
        stored = rows.add_measurement(session, "the same training")
    values = {column.key: getattr(stored, column.key) for column in Measurement.__table__.columns if column.key != "id"}
    with sessions.begin() as session:
        session.execute(insert(Measurement).values(**values).on_conflict_do_nothing(index_elements=["key_sha256"]))
        assert session.scalars(select(Measurement.id)).all() == [stored.id]

"""What docs/deploy.md says of backups, done by its own commands with a cluster that never saw the service."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from discovery_service.db.migrate import upgrade
from discovery_service.db.sessions import Sessions, make_sessions
from discovery_service.engine.events import Cursor, list_events, record
from discovery_service.errors import UsageError
from discovery_service.local.account import server_account
from discovery_service.local.binaries import find_postgres
from discovery_service.local.postgres import OWNER, running_postgres
from tests import rows
from tests.conftest import Database
from tests.house.tree import REPOSITORY

COMMAND = re.compile(r"^docker compose exec -T postgres ((?:pg_dump|psql) .+)$", re.MULTILINE)
KINDS = ["first", "second", "after"]


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[str]:
    """The owner's URL of an empty database in another cluster."""
    with running_postgres(tmp_path, durable=False) as postgres:
        with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE restored")
        yield postgres.url(OWNER, "restored")


def run(command: str, url: str, directory: Path) -> None:
    """Without Compose, on the database at the URL."""
    program, *words = shlex.split(command)
    with ExitStack() as opened:
        streams = {}
        if words[-2] in "<>":
            *words, mark, file = words
            name, mode = ("stdin", "r") if mark == "<" else ("stdout", "w")
            streams[name] = opened.enter_context((directory / file).open(mode))
        assert words.pop() == "discovery"
        at = words.index("--username")
        binary = find_postgres(server_account()) / program
        subprocess.run([binary, *words[:at], *words[at + 2 :], url], check=True, timeout=60, **streams)


def read_commands() -> list[str]:
    """To dump, to create the role, to restore."""
    return COMMAND.findall((REPOSITORY / "docs" / "deploy.md").read_text())


def test_a_dump_comes_to_life_in_another_cluster(empty_database: Database, restored: str, tmp_path: Path) -> None:
    dump, *restore = read_commands()
    upgrade(empty_database.owner_url)
    engine = create_engine(empty_database.owner_url)
    with sessionmaker(engine).begin() as session:
        campaign_id = rows.add_campaign(session).id
        for kind in KINDS[:2]:
            record(session, campaign_id, kind)
            session.flush()
        # The other cluster is young: none of its transactions has such an id yet.
        session.execute(text("UPDATE event SET xid = xid + 1000000000000"))
    engine.dispose()
    run(dump, empty_database.owner_url, tmp_path)
    for command in restore:
        run(command, restored, tmp_path)
    upgrade(restored)
    sessions = make_sessions(restored, pool_size=1)
    with sessions.begin() as session:
        record(session, campaign_id, KINDS[2])
    with sessions() as session:
        assert [event.kind for event in list_events(session, campaign_id, Cursor(), 10)][-3:] == KINDS
        assert not session.scalar(text("SELECT has_database_privilege(current_user, current_database(), 'TEMPORARY')"))
    sessions.kw["bind"].dispose()


def test_a_dump_whose_role_was_not_there_is_told_by_what_to_do(
    empty_database: Database, restored: str, tmp_path: Path
) -> None:
    dump, _, restore = read_commands()
    upgrade(empty_database.owner_url)
    run(dump, empty_database.owner_url, tmp_path)
    run(restore.replace("--set ON_ERROR_STOP=1 --single-transaction ", ""), restored, tmp_path)
    with pytest.raises(UsageError, match="CREATE ROLE discovery_service LOGIN"):
        upgrade(restored)


def test_where_nothing_was_restored_events_keep_their_place(database: Database, sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign_id = rows.add_campaign(session).id

    def read() -> list[Cursor]:
        with sessions() as session:
            return [Cursor.of(each) for each in list_events(session, campaign_id, Cursor(), 10)]

    before = read()
    upgrade(database.owner_url)
    assert before
    assert read() == before

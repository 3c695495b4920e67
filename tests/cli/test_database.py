"""`discovery db …` on a database that was never migrated."""

import psycopg

from tests.cli.conftest import Command
from tests.conftest import Database


def test_a_database_is_behind_until_it_is_upgraded(discovery: Command, empty_database: Database) -> None:
    env = {"DISCOVERY__DB__URL": empty_database.service_url, "DISCOVERY__DB__OWNER_URL": empty_database.owner_url}
    ran = discovery("db", "check", "--json", env=env)
    assert ran.code == 1
    assert (ran.json["schema_revision"], ran.json["is_newest"]) == (None, False)
    assert "discovery db upgrade" in ran.err
    upgraded = discovery("db", "upgrade", "--json", env=env)
    assert (upgraded.code, upgraded.json["schema_revision"]) == (0, ran.json["newest"])
    assert discovery("db", "check", env=env).code == 0


def test_a_newer_schema_is_left_alone_and_told_as_one(discovery: Command, empty_database: Database) -> None:
    env = {"DISCOVERY__DB__URL": empty_database.owner_url}
    assert discovery("db", "upgrade", env=env).code == 0
    with psycopg.connect(empty_database.owner_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for command, code in (("check", 1), ("upgrade", 2)):
        ran = discovery("db", command, env=env)
        assert ran.code == code
        assert "of a newer version" in ran.err
        assert "db upgrade" not in ran.err
    assert "of a newer version" in discovery("doctor", env=env).out


def test_the_owner_is_the_only_login_where_no_other_is_set(discovery: Command, empty_database: Database) -> None:
    env = {"DISCOVERY__DB__URL": empty_database.owner_url}
    assert discovery("db", "upgrade", env=env).code == 0
    assert discovery("db", "check", "--json", env=env).json["is_newest"]

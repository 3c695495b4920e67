"""`discovery keys …`: through the API, and the first key straight into the database."""

from discovery_service.client import Client
from discovery_service.domain.access import Scope
from tests.api.serving import KEY_SECRET
from tests.cli.conftest import Command
from tests.conftest import Database


def test_the_token_alone_is_on_stdout_and_opens_what_it_may(discovery: Command, api_env: dict[str, str]) -> None:
    ran = discovery("keys", "create", "reader", "--scope", "campaigns:read", env=api_env)
    token = ran.out.strip()
    assert token.startswith("dls_")
    assert token not in ran.err
    reader = api_env | {"DISCOVERY__CLIENT__API_KEY": token}
    assert discovery("campaign", "list", env=reader).code == 0
    assert "admin" in discovery("keys", "list", env=reader).err


def test_a_revoked_key_is_listed_and_opens_nothing(discovery: Command, api_env: dict[str, str], client: Client) -> None:
    made = discovery("keys", "create", "short", "--scope", "admin", "--json", env=api_env).json
    assert discovery("keys", "revoke", made["id"], "--json", env=api_env).json["revoked_at"] is not None
    listed = {each["id"]: each for each in discovery("keys", "list", "--json", env=api_env).json}
    assert listed[made["id"]]["revoked_at"] is not None
    assert f"…{made['last_four']}" in discovery("keys", "list", env=api_env).out
    assert discovery("campaign", "list", env=api_env | {"DISCOVERY__CLIENT__API_KEY": made["token"]}).code == 2


def test_the_first_key_is_written_without_the_api(
    discovery: Command, api_env: dict[str, str], database: Database
) -> None:
    env = {"DISCOVERY__DB__URL": database.service_url, "DISCOVERY__API__KEY_SECRET": KEY_SECRET}
    command = ("keys", "create", "first", "--scope", "admin", "--direct", "--expires-at", "2999-01-01", "--json")
    made = discovery(*command, env=env).json
    assert made["scopes"] == [Scope.ADMIN]
    with Client(api_env["DISCOVERY__CLIENT__URL"], made["token"]) as client:
        first = next(key for key in client.keys.list() if key.name == "first")
    assert first.expires_at is not None
    assert first.expires_at.year in (2998, 2999)  # midnight of this machine's zone


def test_a_database_without_tables_is_told(discovery: Command, empty_database: Database) -> None:
    env = {"DISCOVERY__DB__URL": empty_database.owner_url, "DISCOVERY__API__KEY_SECRET": KEY_SECRET}
    ran = discovery("keys", "create", "first", "--scope", "admin", "--direct", env=env)
    assert ran.code == 2
    assert "discovery db upgrade" in ran.err

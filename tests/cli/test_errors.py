"""Every way in which a command ends: its exit code, one sentence on stderr, no traceback."""

import socket
from pathlib import Path

import pytest

from discovery_service.client import Client
from discovery_service.local.state import ApiAccess, write_api_access
from tests.cli.conftest import Command

ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"


def test_what_works_ends_with_0(discovery_process: Command, api_env: dict[str, str]) -> None:
    ran = discovery_process("campaign", "list", "--json", env=api_env)
    assert (ran.code, ran.json, ran.err) == (0, [], "")


def test_what_the_service_refuses_ends_with_1(
    discovery_process: Command, api_env: dict[str, str], client: Client
) -> None:
    campaign = client.campaigns.create(name="x", spec={"arena": "plain"})
    client.campaigns.cancel(campaign.id)
    ran = discovery_process("campaign", "resume", campaign.id, "--json", env=api_env)
    assert ran.code == 1
    assert ran.json["type"] == "urn:discovery:problem:illegal_transition"
    assert ran.err == f"{ran.json['detail']}\n"


def test_a_service_that_is_not_there_ends_with_1(discovery_process: Command) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        env = {"DISCOVERY__CLIENT__URL": url, "DISCOVERY__CLIENT__API_KEY": "dls_none"}
        ran = discovery_process("campaign", "list", env=env)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"No answer from {url}: ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "env", "told"),
    [
        (["campaign", "list"], {}, "discovery up"),
        (["campaign", "show", "x"], {}, "should be a valid UUID"),
        (["campaign", "create", "none.yaml"], {}, "none.yaml cannot be read"),
        (["campaign", "list", "--no-such"], {}, "No such option"),
        (["campaign", "list"], {"DISCOVERY__CLIENT__URL": "http://x"}, "DISCOVERY__CLIENT__API_KEY is not set"),
        (["campaign", "list"], {"DISCOVERY__CLIENT__API_KEY": "dls_x"}, "DISCOVERY__CLIENT__URL is not set"),
        (["campaign", "list"], {"DISCOVERY__CLIENT__URL": "x", "DISCOVERY__CLIENT__API_KEY": "y"}, "http://"),
        (["settings", "show"], {"DISCOVERY__API__PORT": "many"}, "DISCOVERY__API__PORT"),
        (["db", "check"], {}, "DISCOVERY__DB__URL is not set"),
        (["db", "check"], {"DISCOVERY__DB__URL": "what"}, "no URL of a database"),
        (["db", "upgrade"], {"DISCOVERY__DB__URL": "postgresql://x@127.0.0.1:1/x"}, "cannot be reached"),
        (["keys", "create", "x"], {}, "Missing option '--scope'"),
        (
            ["keys", "create", "x", "--scope", "admin", "--direct"],
            {"DISCOVERY__DB__URL": "postgresql://x"},
            "DISCOVERY__API__KEY_SECRET",
        ),
        (["up", "--data", "/proc/nowhere"], {}, "cannot be written"),
        (["demo", "--data", "/proc/nowhere"], {}, "cannot be written"),
    ],
)
def test_what_the_person_can_mend_ends_with_2(
    discovery: Command, args: list[str], env: dict[str, str], told: str
) -> None:
    ran = discovery(*args, env=env)
    assert (ran.code, ran.out) == (2, "")
    assert told in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_an_api_without_a_database_ends_with_2(discovery_process: Command) -> None:
    ran = discovery_process("api")  # not in this process, whose logs it would take over
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("DISCOVERY__DB__URL is not set")


def test_a_bad_file_ends_with_2(discovery_process: Command, tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text("name: x\nspec: {arena: plain\n")
    ran = discovery_process("campaign", "create", file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"{file}, line 3: ")
    assert ran.err.count("\n") == 1


def test_the_key_that_the_local_stack_wrote_is_found(
    discovery: Command, api_env: dict[str, str], tmp_path: Path
) -> None:
    write_api_access(tmp_path, ApiAccess(api_env["DISCOVERY__CLIENT__URL"], api_env["DISCOVERY__CLIENT__API_KEY"]))
    assert discovery("campaign", "list", "--json").json == []
    other = api_env | {"DISCOVERY__CLIENT__API_KEY": "dls_wrong"}
    ran = discovery("campaign", "list", env=other)
    assert ran.code == 2
    assert "mistyped, unknown, expired or revoked" in ran.err

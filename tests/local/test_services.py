"""Each process is told what it needs and nothing more."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from discovery_service.local.address import Address
from discovery_service.local.guarded import Program
from discovery_service.local.services import service_programs, stack_settings

SHELL = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "OPENAI_API_KEY": "model-secret",
    "OPENAI_BASE_URL": "http://model",
    "AWS_SECRET_ACCESS_KEY": "cloud-secret",
    "VIRTUAL_ENV": "/venv",
    "PYTHONPATH": "/elsewhere",
    "DISCOVERY__LLM__PROFILES__FAST__API_KEY": "profile-secret",
    "DISCOVERY__LLM__PROFILES__FAST__INPUT_USD_PER_MILLION": "0.25",
    "DISCOVERY__LLM__PROFILES__FAST__MAX_TOKENS": "32000",
    "DISCOVERY__LLM__profiles__SLOW__api_key": "profile-secret",
    "DISCOVERY__LLM__PROFILES__SLOW": '{"model": "x", "api_key": "profile-secret"}',
    "DISCOVERY__LLM": '{"profiles": {"slow": {"model": "x", "api_key": "profile-secret"}}}',
    "DISCOVERY__LLM__MODEL": "fast",
    "DISCOVERY__LOG__LEVEL": "debug",
    "DISCOVERY__DB__OWNER_URL": "postgresql://owner",
    "DISCOVERY__DB__URL": "postgresql://stale",
    "DISCOVERY__CLIENT__API_KEY": "dls_personal",
    "DISCOVERY__API__KEY_SECRET": "hmac",
}
SETTINGS = stack_settings(Path("/data"), database_url="postgresql://service", redis_url="redis://r", slots=3)


def make_programs(shell: Mapping[str, str]) -> dict[str, Program]:
    addresses = Address("0.0.0.0", 8020), Address("127.0.0.1", 8021)
    return {each.name: each for each in service_programs(("discovery",), shell, SETTINGS, *addresses, "hmac")}


PROGRAMS = make_programs(SHELL)


def test_the_commands() -> None:
    assert {name: program.argv[1:] for name, program in PROGRAMS.items()} == {
        "api": ("api", "--host", "0.0.0.0", "--port", "8020"),
        "beat": ("beat",),
        "recorded": ("recorded", "--port", "8021"),
        "propose": ("worker", "propose"),
        "gate": ("worker", "gate"),
        "evaluate": ("worker", "evaluate"),
    }


def test_only_the_process_that_asks_the_model_gets_the_model_key() -> None:
    assert [name for name, program in PROGRAMS.items() if "model-secret" in program.env.values()] == ["propose"]
    assert PROGRAMS["propose"].env["OPENAI_BASE_URL"] == "http://model"


def test_keys_of_profiles_are_for_that_process_too_and_their_prices_and_bounds_are_for_all() -> None:
    holders = {
        name for name, program in PROGRAMS.items() for value in program.env.values() if "profile-secret" in value
    }
    assert holders == {"propose"}
    assert PROGRAMS["propose"].env["DISCOVERY__LLM__PROFILES__FAST__API_KEY"] == "profile-secret"
    for program in PROGRAMS.values():
        assert program.env["DISCOVERY__LLM__PROFILES__FAST__MAX_TOKENS"] == "32000"
        assert program.env["DISCOVERY__LLM__PROFILES__FAST__INPUT_USD_PER_MILLION"] == "0.25"
        assert program.env["DISCOVERY__LLM__MODEL"] == "fast"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "no_proxy", "all_proxy", "SSL_CERT_DIR"])
def test_the_process_that_asks_the_model_reaches_it_as_the_persons_shell_does(name: str) -> None:
    programs = make_programs({**SHELL, name: "there"})
    assert [each for each, program in programs.items() if name in program.env] == ["propose"]


def test_the_process_that_asks_the_model_is_told_where_recorded_replies_are_served() -> None:
    assert PROGRAMS["propose"].env["DISCOVERY__LLM__RECORDED_URL"] == "http://127.0.0.1:8021/v1"


def test_only_the_api_gets_the_secret_of_the_keys() -> None:
    assert [name for name, program in PROGRAMS.items() if "hmac" in program.env.values()] == ["api"]


def test_no_process_gets_the_owner_or_what_else_the_shell_holds() -> None:
    for program in PROGRAMS.values():
        for withheld in ("AWS_SECRET_ACCESS_KEY", "VIRTUAL_ENV", "PYTHONPATH", "DISCOVERY__DB__OWNER_URL"):
            assert withheld not in program.env
        assert "DISCOVERY__CLIENT__API_KEY" not in program.env


def test_the_settings_of_the_stack_and_of_the_person_arrive() -> None:
    for program in PROGRAMS.values():
        assert program.env["DISCOVERY__DB__URL"] == "postgresql://service"
        assert program.env["DISCOVERY__REDIS__URL"] == "redis://r"
        assert program.env["DISCOVERY__WORKER__SLOTS"] == "3"
        assert program.env["DISCOVERY__LOCAL__DATA_DIR"] == "/data"
        assert program.env["DISCOVERY__LOG__LEVEL"] == "debug"
        assert program.env["DISCOVERY__LOG__FORMAT"] == "console"

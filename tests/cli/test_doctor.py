"""`discovery doctor` tells what is there, what is missing and what is broken."""

import pytest

from discovery_service.cli import doctor
from tests.cli.conftest import Command, Ran
from tests.conftest import Database


@pytest.fixture(autouse=True)
def jail(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting one takes seconds; tests that are not about it are told of one."""
    if "real_jail" not in request.fixturenames:
        monkeypatch.setattr("workers.gate.findings.find_jail", lambda: ("jail", "ok", "level full", ""))


@pytest.fixture
def real_jail() -> None:
    """The test looks at this machine's."""


def states(ran: Ran) -> dict[str, str]:
    return {each["name"]: each["state"] for each in ran.json}


@pytest.mark.usefixtures("real_jail")
def test_a_machine_where_nothing_is_set_is_not_broken(discovery: Command) -> None:
    ran = discovery("doctor", "--json")
    assert ran.code == 0
    assert states(ran) == {
        "python": "ok",
        "platform": "ok",
        "torch": "ok",
        "jail": "ok",
        "local servers": "ok",
        "database": "missing",
        "redis": "missing",
        "api": "missing",
    }


def test_a_service_that_runs_is_found_whole(
    discovery: Command, api_env: dict[str, str], database: Database, redis_url: str
) -> None:
    env = api_env | {"DISCOVERY__DB__URL": database.service_url, "DISCOVERY__REDIS__URL": redis_url}
    ran = discovery("doctor", "--json", env=env)
    assert (ran.code, set(states(ran).values())) == (0, {"ok"})
    text = discovery("doctor", env=env).out
    assert "in the restricted role discovery_service" in text


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("DISCOVERY__DB__URL", "postgresql://x@127.0.0.1:1/x", "database"),
        ("DISCOVERY__DB__URL", "what", "database"),
        ("DISCOVERY__REDIS__URL", "redis://127.0.0.1:1/0", "redis"),
        ("DISCOVERY__REDIS__URL", "what", "redis"),
    ],
)
def test_a_server_that_is_set_and_not_there_is_a_problem(
    discovery: Command, variable: str, value: str, name: str
) -> None:
    ran = discovery("doctor", "--json", env={variable: value})
    assert (ran.code, states(ran)[name]) == (1, "problem")
    assert all(each["advice"] for each in ran.json if each["state"] != "ok")


def test_a_database_that_was_never_migrated_is_a_problem(discovery: Command, empty_database: Database) -> None:
    ran = discovery("doctor", "--json", env={"DISCOVERY__DB__URL": empty_database.owner_url})
    (finding,) = (each for each in ran.json if each["name"] == "database")
    assert (ran.code, finding["state"], finding["advice"]) == (1, "problem", "Run `discovery db upgrade`.")


def test_a_key_that_opens_nothing_is_a_problem(discovery: Command, api_env: dict[str, str]) -> None:
    ran = discovery("doctor", "--json", env=api_env | {"DISCOVERY__CLIENT__API_KEY": "dls_wrong"})
    assert (ran.code, states(ran)["api"]) == (1, "problem")


def test_torch_may_be_absent_but_not_broken(discovery: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "import_module", broken)
    assert states(discovery("doctor", "--json"))["torch"] == "problem"
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    ran = discovery("doctor", "--json")
    assert (ran.code, states(ran)["torch"]) == (0, "missing")


def test_language_models_are_asked_only_when_that_is_asked_for(
    discovery: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [("model own", "problem", "nobody there", "start it"), ("model usual", "missing", "no key", "set one")]
    monkeypatch.setattr("workers.llm.findings.find_models", lambda: iter(asked))
    assert not {"model own", "model usual"} & states(discovery("doctor", "--json")).keys()
    ran = discovery("doctor", "--llm", "--json")
    assert (ran.code, states(ran)["model own"], states(ran)["model usual"]) == (1, "problem", "missing")

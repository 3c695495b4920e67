"""What can be said of the Compose files by reading them."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy.engine import make_url

from discovery_service.db.sessions import SERVICE_ROLE
from discovery_service.local.postgres import SETTINGS
from tests.deploy.compose import COMPOSE_FILE, GPU_FILE, VARIABLE, load, services
from tests.house.tree import REPOSITORY

SCHEMA = REPOSITORY / "tests" / "data" / "compose-spec.json"
SECRETS = {"DISCOVERY_DB_PASSWORD": "first", "POSTGRES_PASSWORD": "second", "DISCOVERY_KEY_SECRET": "third"}
MODEL = {"OPENAI_API_KEY": "fourth"}


@pytest.mark.parametrize("path", [COMPOSE_FILE, GPU_FILE], ids=lambda path: path.name)
def test_the_file_fits_the_schema_of_compose(path: Path) -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(load(path))] == []


def test_the_schema_is_a_real_one() -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert not validator.is_valid({"services": {"api": {"order": "x"}}})


def test_the_gpu_file_only_reserves_devices_for_a_service_that_is_there() -> None:
    changed = load(GPU_FILE)["services"]
    assert set(changed) == {"evaluate"} <= set(load(COMPOSE_FILE)["services"])
    (device,) = changed["evaluate"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_all_parts_of_the_service_are_there() -> None:
    parts = {"postgres", "redis", "migrate", "api", "beat", "propose", "gate", "evaluate"}
    assert set(load(COMPOSE_FILE)["services"]) == parts


def test_every_secret_must_be_given_and_none_has_a_default() -> None:
    asked = {match["name"]: match["kind"] for match in VARIABLE.finditer(COMPOSE_FILE.read_text())}
    assert {name for name, kind in asked.items() if kind == "?"} == set(SECRETS)
    assert asked.keys() - SECRETS.keys() == {"DISCOVERY_ADDRESS"}
    with pytest.raises(KeyError, match="password of the service's database login"):
        services({name: value for name, value in SECRETS.items() if name != "DISCOVERY_DB_PASSWORD"})


def test_each_secret_reaches_only_who_needs_it() -> None:
    secrets = SECRETS | MODEL
    holders = {
        name: {
            service.name for service in services(secrets).values() if value in " ".join(service.environment.values())
        }
        for name, value in secrets.items()
    }
    assert holders == {
        "DISCOVERY_DB_PASSWORD": {"migrate", "api", "beat", "propose", "gate", "evaluate"},
        "POSTGRES_PASSWORD": {"migrate"},
        "DISCOVERY_KEY_SECRET": {"api"},
        "OPENAI_API_KEY": {"propose"},
    }


def test_profiles_of_models_reach_all_who_reserve_by_them_and_their_keys_only_who_asks() -> None:
    """A file that is not there is none: without a profile nothing has to be written."""
    readers: dict[str, set[str]] = {}
    for name, spec in load(COMPOSE_FILE)["services"].items():
        for each in spec.get("env_file", []):
            assert each["required"] is False
            readers.setdefault(each["path"], set()).add(name)
    assert readers == {"models.env": {"api", "propose", "gate", "evaluate"}, "model-keys.env": {"propose"}}
    assert readers.keys() <= set((REPOSITORY / ".gitignore").read_text().split())


def test_the_service_has_a_login_of_its_own() -> None:
    migrate = services(SECRETS)["migrate"].environment
    owner, login = make_url(migrate["DISCOVERY__DB__OWNER_URL"]), make_url(migrate["DISCOVERY__DB__URL"])
    assert (owner.username, login.username) == (
        load(COMPOSE_FILE)["services"]["postgres"]["environment"]["POSTGRES_USER"],
        SERVICE_ROLE,
    )
    assert (owner.password, login.password) == (SECRETS["POSTGRES_PASSWORD"], SECRETS["DISCOVERY_DB_PASSWORD"])


def test_only_the_api_is_reachable_and_only_from_this_machine_unless_said_otherwise() -> None:
    published = {name: spec["ports"] for name, spec in load(COMPOSE_FILE)["services"].items() if "ports" in spec}
    assert published == {"api": ["${DISCOVERY_ADDRESS:-127.0.0.1:8020}:8020"]}


def test_what_runs_on_restarts_is_watched_and_gives_up_privileges() -> None:
    for name, spec in load(COMPOSE_FILE)["services"].items():
        assert "no-new-privileges:true" in spec["security_opt"], name
        if name != "migrate":
            assert spec["restart"] == "unless-stopped", name
            assert spec["healthcheck"]["test"], name
        if "build" in spec:
            assert spec["cap_drop"] == ["ALL"], name
            assert spec["read_only"], name


def test_the_database_takes_as_many_connections_as_the_local_one() -> None:
    assert load(COMPOSE_FILE)["services"]["postgres"]["command"] == [
        "postgres",
        "-c",
        f"max_connections={SETTINGS['max_connections']}",
    ]


def test_nobody_starts_before_what_it_needs() -> None:
    specs = load(COMPOSE_FILE)["services"]
    assert specs["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    once_migrated = {
        "migrate": {"condition": "service_completed_successfully"},
        "redis": {"condition": "service_healthy"},
    }
    for name in ("api", "beat", "propose", "gate", "evaluate"):
        assert specs[name]["depends_on"] == once_migrated, name


def test_images_are_of_one_release() -> None:
    images = {spec["image"] for spec in load(COMPOSE_FILE)["services"].values() if "build" not in spec}
    assert images == {"postgres:18", "redis:8"}
    assert all(re.fullmatch(r"\w+:\d+", image) for image in images)

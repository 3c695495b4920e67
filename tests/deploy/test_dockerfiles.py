"""What can be said of the Dockerfiles by reading them."""

import re
from pathlib import Path

import pytest

from tests.deploy.compose import COMPOSE_FILE, load
from tests.house.tree import REPOSITORY, files

API = REPOSITORY / "discovery_service" / "Dockerfile"
WORKERS = REPOSITORY / "workers" / "Dockerfile"
both = pytest.mark.parametrize("dockerfile", [API, WORKERS], ids=["api", "workers"])


def _instructions(dockerfile: Path, name: str) -> list[str]:
    lines = dockerfile.read_text().replace("\\\n", " ").splitlines()
    return [line.removeprefix(name).strip() for line in lines if line.startswith(f"{name} ")]


def _copied(dockerfile: Path) -> list[str]:
    copies = [line.split() for line in _instructions(dockerfile, "COPY") if not line.startswith("--from=")]
    return [source for *sources, _ in copies for source in sources]


def test_there_is_one_for_each_image_and_compose_builds_them() -> None:
    found = {path for path in files() if path.name == "Dockerfile"}
    built = {
        REPOSITORY / spec["build"]["dockerfile"] for spec in load(COMPOSE_FILE)["services"].values() if "build" in spec
    }
    assert found == built == {API, WORKERS}


@both
def test_what_is_copied_exists_and_is_sent_to_the_engine(dockerfile: Path) -> None:
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert [source for source in _copied(dockerfile) if not (REPOSITORY / source).exists()] == []
    assert set(_copied(dockerfile)) <= sent


def test_the_two_together_use_everything_that_is_sent() -> None:
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sent == {*_copied(API), *_copied(WORKERS)}


def test_the_api_image_has_nothing_that_only_workers_need() -> None:
    assert not re.search(r"torch|transformers|peft|openai|workers", API.read_text())


def test_the_workers_image_can_train_adapters() -> None:
    """An arena with LoRA needs peft, which is no dependency of the package itself."""
    installed = {word for line in _instructions(WORKERS, "RUN") if "pip install" in line for word in line.split()}
    assert {"torch", "transformers", "peft"} <= installed


@both
def test_every_installation_keeps_to_the_lock(dockerfile: Path) -> None:
    for line in _instructions(dockerfile, "RUN"):
        for command in line.split("&&"):
            if "pip install" in command and '"pip>=' not in command:
                assert "--constraint constraints.txt" in command or "--no-deps" in command, command


@both
def test_it_runs_as_an_ordinary_user_and_gets_signals_itself(dockerfile: Path) -> None:
    assert _instructions(dockerfile, "USER")[-1] == "10001"
    assert _instructions(dockerfile, "CMD")[-1].startswith('["discovery"')
    assert dockerfile.read_text().rindex("USER") > dockerfile.read_text().rindex("RUN")


def test_what_a_worker_mounts_belongs_to_its_user() -> None:
    """A volume takes its owner from the directory that it covers for the first time; root's could not be written to."""
    evaluate = load(COMPOSE_FILE)["services"]["evaluate"]
    targets = {volume.partition(":")[2] for volume in evaluate["volumes"]}
    assert evaluate["environment"]["DISCOVERY__ARENAS__CACHE_DIR"] in targets
    made = [line for line in _instructions(WORKERS, "RUN") if line.startswith("install --directory --owner 10001")]
    assert targets == {line.split()[-1] for line in made}

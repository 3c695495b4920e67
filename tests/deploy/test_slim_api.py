"""The API needs nothing but its own group of dependencies, and loads nothing heavy; `make bench` says how quickly."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Database
from tests.deploy import slim
from tests.waiting import wait_until

ONLY_WORKERS_NEED = ("torch", "transformers", "openai", "workers")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds what the API image has on its path."""
    directory = tmp_path_factory.mktemp("image")
    slim.lay_out(directory)
    return directory


def test_the_api_is_importable_and_what_only_workers_need_is_not(image: Path) -> None:
    code = "import discovery_service.api, importlib.util, json; "
    code += f"print(json.dumps([name for name in {ONLY_WORKERS_NEED} if importlib.util.find_spec(name)]))"
    done = slim.run_code(image, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == []


def test_the_command_line_works_without_the_workers_commands(image: Path) -> None:
    done = subprocess.run(
        slim.module_command(image, "discovery_service.cli", "--help"), env={}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "campaign" in done.stdout
    assert "beat" not in done.stdout


def test_the_database_is_migrated_there(image: Path, empty_database: Database) -> None:
    command = slim.module_command(image, "discovery_service.cli", "db", "upgrade")
    environment = {
        "DISCOVERY__DB__OWNER_URL": empty_database.owner_url,
        "DISCOVERY__DB__URL": empty_database.service_url,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_api_starts_and_answers_there(image: Path, database: Database, redis_url: str) -> None:
    port = free_port()
    environment = {
        "DISCOVERY__DB__URL": database.service_url,
        "DISCOVERY__REDIS__URL": redis_url,
        "DISCOVERY__API__KEY_SECRET": "a secret of the tests",
    }
    command = slim.module_command(image, "discovery_service.cli", "api", "--host", "127.0.0.1", "--port", str(port))
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as api:
        try:
            assert wait_until(lambda: _answer(api, port, "/healthz")) == 200
            assert _answer(api, port, "/readyz") == 200
            assert _answer(api, port, "/v1/campaigns") == 401
        finally:
            api.terminate()


def _answer(api: "subprocess.Popen[str]", port: int, path: str) -> int | None:
    """The status of the answer; None while nobody listens."""
    assert api.poll() is None, api.communicate()[1]
    try:
        return httpx2.get(f"http://127.0.0.1:{port}{path}", timeout=10).status_code
    except httpx2.ConnectError:
        return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_importing_the_api_loads_nothing_heavy() -> None:
    code = "import discovery_service.api, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"torch", "transformers", "openai", "alembic", "workers", "numpy", "redis", "typer", "celery.worker"}
    assert heavy & set(loaded) == set()

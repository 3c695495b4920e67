"""The services of the Compose file run here: each by its own command, environment and health check, without an engine.

The test servers stand in for the services postgres and redis, whose commands are their images' own.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from discovery_service.db.sessions import SERVICE_ROLE
from discovery_service.engine.dispatch import MAINTAIN_QUEUE
from tests.conftest import Database
from tests.deploy.compose import Service, services
from tests.deploy.test_slim_api import free_port
from tests.waiting import wait_until

VARIABLES = {"DISCOVERY_DB_PASSWORD": "first", "POSTGRES_PASSWORD": "second", "DISCOVERY_KEY_SECRET": "third"}
HEALTHY_WITHIN_S = 60.0
# uvicorn stops in good order and then ends by the signal that it was sent.
STOPPED = (0, -signal.SIGTERM)


class Machine:
    """Stands in for the containers: the test servers under the names that the file uses, one port of its own."""

    def __init__(self, database: Database, redis_url: str, home: Path) -> None:
        self._database = database
        self._redis_url = redis_url
        self._port = str(free_port())
        self._base = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}", "HOME": str(home)}
        self._home = home

    def start(self, service: Service) -> "subprocess.Popen[str]":
        with (self._home / f"{service.name}.log").open("w") as log:
            return subprocess.Popen(
                self._here(service.command), env=self._environment(service), cwd=self._home, stdout=log, stderr=log
            )

    def is_healthy(self, service: Service) -> bool:
        assert service.health_command is not None
        command = self._here(service.health_command)
        done = subprocess.run(command, env=self._environment(service), cwd=self._home, capture_output=True)
        return done.returncode == 0

    def log(self, service: Service) -> str:
        return (self._home / f"{service.name}.log").read_text()

    def _here(self, command: list[str]) -> list[str]:
        """The command with the container's address replaced; nothing in it is known but that."""
        return [part.replace("0.0.0.0", "127.0.0.1").replace("8020", self._port) for part in command]

    def _environment(self, service: Service) -> dict[str, str]:
        return self._base | {name: self._server(value) for name, value in service.environment.items()}

    def _server(self, value: str) -> str:
        if value.startswith("redis://redis:"):
            return self._redis_url
        if value.startswith("/"):  # a volume
            return str(self._home / value[1:])
        if not value.startswith("postgresql://"):
            return value
        url = make_url(value)
        assert url.host == "postgres"
        return self._database.service_url if url.username == SERVICE_ROLE else self._database.owner_url


@pytest.fixture
def machine(empty_database: Database, redis_url: str, tmp_path: Path) -> Machine:
    return Machine(empty_database, redis_url, tmp_path)


@contextmanager
def _running(machine: Machine, service: Service) -> Iterator["subprocess.Popen[str]"]:
    """The service while the block runs, then told to stop as the engine does; it must go in good order and in time."""
    process = machine.start(service)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(service.stop_grace_s) in STOPPED, machine.log(service)
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(300)
def test_every_service_gets_healthy_and_stops_in_time(machine: Machine, redis_client: Any) -> None:
    started: list[str] = []
    with ExitStack() as running:
        for service in services(VARIABLES).values():
            assert set(service.needs) - {"postgres", "redis"} <= set(started)
            started.append(service.name)
            if service.health_command is None:
                assert machine.start(service).wait(60) == 0, machine.log(service)
                continue
            process = running.enter_context(_running(machine, service))

            def is_up(service: Service = service, process: "subprocess.Popen[str]" = process) -> bool:
                assert process.poll() is None, machine.log(service)
                return machine.is_healthy(service)

            assert wait_until(is_up, deadline_s=HEALTHY_WITHIN_S)
            if service.name == "beat":
                # Nobody consumes yet, so what it sends can be seen.
                assert wait_until(lambda: redis_client.llen(MAINTAIN_QUEUE))
    assert started == ["migrate", "api", "beat", "propose", "gate", "evaluate"]


def test_a_worker_that_is_not_there_is_not_healthy(database: Database, redis_url: str, tmp_path: Path) -> None:
    machine = Machine(database, redis_url, tmp_path)
    for name in ("propose", "gate", "evaluate"):
        assert not machine.is_healthy(services(VARIABLES)[name])

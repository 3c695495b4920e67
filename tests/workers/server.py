"""A PostgreSQL of a test's own, which may be killed and comes back with what was committed."""

import subprocess
from pathlib import Path

from discovery_service.local import guarded
from discovery_service.local.directory import find_processes_in
from discovery_service.local.postgres import Postgres, prepare_postgres
from tests.waiting import wait_until


class Server:
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.start()

    def start(self) -> Postgres:
        self.postgres = prepare_postgres(self._data_dir, durable=True)
        self._process = guarded.spawn(self.postgres.program(), subprocess.DEVNULL)
        wait_until(self.postgres.is_ready)
        return self.postgres

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        wait_until(lambda: not find_processes_in(self.postgres.directory, "postgres"))

"""The local stack as a process of its own, for as long as a benchmark lasts; what it says goes to a file."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.engine import Engine

from discovery_service.client import Client
from discovery_service.db.sessions import make_engine
from discovery_service.local.account import server_account
from discovery_service.local.address import Address, find_address
from discovery_service.local.binaries import find_postgres
from discovery_service.local.directory import open_data_dir
from discovery_service.local.guard import PR_SET_PDEATHSIG, prctl
from discovery_service.local.postgres import Postgres
from discovery_service.local.state import find_api_access

START_WITHIN_S = 300.0
"""On a machine that trains beside it; alone it takes some seconds."""


@dataclass(frozen=True)
class LocalStack:
    client: Client
    engine: Engine
    """Of its database, in the service's own role."""
    supervisor: int = 0
    """Its process; 0 where a test has put other services in its place."""
    owner_url: str = ""
    """Of its database, in the role that owns the tables."""


@contextmanager
def running_stack(data: Path, *, slots: int) -> Iterator[LocalStack]:
    """What a stack that was ended here had begun goes on."""
    data_dir = open_data_dir(data)
    address = find_address("127.0.0.1", 0)
    with _up(data_dir, address, slots) as process:
        deadline = time.monotonic() + START_WITHIN_S
        while not address.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The local stack does not start; {_log_of(data_dir)} says why.")
            time.sleep(0.2)
        access = find_api_access(data_dir)
        assert access is not None, "the stack writes its key before the API starts"
        account = server_account()
        postgres = Postgres(data_dir, True, account, find_postgres(account))
        engine = make_engine(postgres.service_url, pool_size=1)
        with Client(access.url, access.api_key) as client:
            yield LocalStack(client, engine, process.pid, postgres.owner_url)
        engine.dispose()


@contextmanager
def _up(data_dir: Path, address: Address, slots: int) -> Iterator[subprocess.Popen[bytes]]:
    options = ["--data", str(data_dir), "--port", str(address.port), "--workers", str(slots)]
    command = [sys.executable, "-m", "discovery_service.cli", "up", *options]
    with _log_of(data_dir).open("ab") as log:
        # Where this process is killed, it stops too, and the next run can start another one.
        with_us = partial(prctl, PR_SET_PDEATHSIG, signal.SIGTERM)
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=with_us)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _log_of(data_dir: Path) -> Path:
    """Beside it: a stack begins in an empty directory."""
    return data_dir.with_name(f"{data_dir.name}.log")

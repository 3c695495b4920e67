"""`discovery api` as a process of its own, so that it can be stopped and started again."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from discovery_service.local.address import Address
from tests.api.serving import KEY_SECRET
from tests.waiting import wait_until


@contextmanager
def api_process(address: Address, database_url: str, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "DISCOVERY__DB__URL": database_url,
        "DISCOVERY__REDIS__URL": redis_url,
        "DISCOVERY__API__KEY_SECRET": KEY_SECRET,
    }
    command = [sys.executable, "-m", "discovery_service.cli", "api"]
    process = subprocess.Popen([*command, "--host", address.host, "--port", str(address.port)], env=environment)
    try:
        wait_until(address.is_ready)
        yield process
    finally:
        process.terminate()
        process.wait(10)

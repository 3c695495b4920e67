"""Redis in a directory of ours, on a unix socket only.

It keeps snapshots, so that a restart loses few bells; the queue of record is in the database.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from discovery_service.errors import UsageError
from discovery_service.local import guarded
from discovery_service.local.account import Account, check_owner, make_directory, server_account
from discovery_service.local.binaries import find_redis
from discovery_service.local.directory import check_socket_path, find_processes_in, open_data_dir

ENV = {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC"}
SOCKET = "redis.sock"
READY_DEADLINE_S = 10.0


@dataclass(frozen=True)
class Redis:
    """The server on `data_dir`/redis, running or not."""

    data_dir: Path
    account: Account
    binary: Path

    @property
    def directory(self) -> Path:
        return self.data_dir / "redis"

    @property
    def socket(self) -> Path:
        return self.directory / SOCKET

    @property
    def url(self) -> str:
        """As redis-py reads it."""
        return f"unix://{quote(str(self.socket))}?db=0"

    @property
    def broker_url(self) -> str:
        """As Celery reads it."""
        return f"redis+socket://{quote(str(self.socket))}?virtual_host=0"

    def program(self) -> guarded.Program:
        settings = {
            "port": "0",
            "unixsocket": SOCKET,
            "unixsocketperm": "700",
            "dir": ".",
            "save": "60 1",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        options = [option for name, value in settings.items() for option in (f"--{name}", *value.split())]
        return guarded.Program(
            name="redis",
            argv=(str(self.binary), *options),
            env=ENV,
            user=self.account.change_to,
            directory=self.directory,
            grace_s=0.5,
        )

    def is_ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(2)
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def prepare_redis(data_dir: Path) -> Redis:
    """Make the directory or check that it can be used. UsageError says what to mend."""
    data_dir = open_data_dir(data_dir)
    account = server_account()
    server = Redis(data_dir, account, find_redis(account))
    check_socket_path(server.socket)
    if not server.directory.exists():
        make_directory(server.directory, account)
    check_owner(server.directory, account)
    running = find_processes_in(server.directory, "redis-server")
    if running:
        raise UsageError(
            f"Redis runs on {server.directory} already, as process {running[0]}. Stop it, or choose another --data."
        )
    return server


@contextlib.contextmanager
def running_redis(data_dir: Path) -> Iterator[Redis]:
    """A server for as long as the block runs; its log is `data_dir`/redis.log."""
    server = prepare_redis(data_dir)
    with guarded.running(server.program(), server.is_ready, server.data_dir / "redis.log", READY_DEADLINE_S):
        yield server

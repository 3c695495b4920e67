"""PostgreSQL from its wheel in a directory of ours: checks before the start, initdb, the command, the URLs.

The server works in its data directory as /proc/self/cwd and never looks at a path above it, so the directory may lie
where the server's account cannot go (root's home), and nothing above it is changed.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import structlog

from discovery_service.errors import UsageError
from discovery_service.local import guarded
from discovery_service.local.account import Account, check_owner, make_directory, server_account
from discovery_service.local.binaries import find_postgres
from discovery_service.local.directory import check_socket_path, find_processes_in, open_data_dir

log = structlog.get_logger(__name__)

OWNER = "discovery"
SERVICE = "discovery_service"
DATABASE = "discovery"
MAJOR = "18"
PORT = 5432
SOCKET = f".s.PGSQL.{PORT}"
HERE = "/proc/self/cwd"
ENV = {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC"}
READY_DEADLINE_S = 10.0
LEFTOVERS_DEADLINE_S = 5.0
STATUS_LINE = 8
"""Of postmaster.pid, as in PostgreSQL's pidfile.h."""

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "port": str(PORT),
    "max_connections": "500",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "",
    "log_checkpoints": "off",
}
# For tests: nobody mourns their data after a power cut.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Postgres:
    """The server on `data_dir`/postgres, running or not."""

    data_dir: Path
    durable: bool
    account: Account
    binaries: Path

    @property
    def directory(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def owner_url(self) -> str:
        """The login that owns the schema: for migrations, never for a worker."""
        return self.url(OWNER, DATABASE)

    @property
    def service_url(self) -> str:
        """The service's own login; its role is made by the migrations."""
        return self.url(SERVICE, DATABASE)

    def url(self, user: str, database: str) -> str:
        return f"postgresql://{user}@/{database}?host={quote(str(self.directory))}&port={PORT}"

    def program(self) -> guarded.Program:
        settings = SETTINGS if self.durable else SETTINGS | NOT_DURABLE
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return guarded.Program(
            name="postgres",
            argv=(str(self.binaries / "postgres"), "-D", HERE, *options),
            env=ENV,
            user=self.account.change_to,
            directory=self.directory,
            stop_signal=signal.SIGINT,  # "fast": ends open transactions, does not wait for clients
            grace_s=4.0,
        )

    def is_ready(self) -> bool:
        """Whether it lets us in; on the first time that it does, the database is made."""
        # As pg_ctl does: an attempt before that would be a FATAL line in the log.
        if not self._says_ready():
            return False
        try:
            with psycopg.connect(self.url(OWNER, "postgres"), autocommit=True, connect_timeout=2) as connection:
                if connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    def _says_ready(self) -> bool:
        try:
            lines = (self.directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= STATUS_LINE and lines[STATUS_LINE - 1].strip() == "ready"

    def clear_leftovers(self, *, wait_s: float = LEFTOVERS_DEADLINE_S) -> None:
        """Remove the pid files of a killed server and wait until its children, who share the data, have ended.

        PostgreSQL takes any process that has the old number now, even a dead one not yet reaped, for a server.
        """
        pid_file, socket_lock = self.directory / "postmaster.pid", self.directory / f"{SOCKET}.lock"
        if pid_file.exists():
            pid = pid_file.read_text().partition("\n")[0]
            if pid in map(str, find_processes_in(self.directory, "postgres")):
                raise UsageError(
                    f"PostgreSQL runs on {self.directory} already (process {pid}). Stop it, or choose another --data."
                )
            log.info("removed the pid file of a PostgreSQL that is gone", directory=str(self.directory), gone_pid=pid)
        pid_file.unlink(missing_ok=True)
        socket_lock.unlink(missing_ok=True)
        deadline = time.monotonic() + wait_s
        while leftovers := find_processes_in(self.directory, "postgres"):
            if time.monotonic() >= deadline:
                raise UsageError(
                    f"PostgreSQL processes {leftovers} still work in {self.directory}. End them and start again."
                )
            time.sleep(0.05)


def prepare_postgres(
    data_dir: Path, *, durable: bool, run: Callable[[guarded.Program], None] = guarded.run
) -> Postgres:
    """Check the directory, `run` initdb on the first start, clear what a killed server left.

    UsageError says what to mend.
    """
    data_dir = open_data_dir(data_dir)
    account = server_account()
    postgres = Postgres(data_dir, durable, account, find_postgres(account))
    check_socket_path(postgres.directory / SOCKET)
    if _is_initialised(postgres):
        check_owner(postgres.directory, account)
        postgres.clear_leftovers()
    else:
        _initialise(postgres, run)
    return postgres


def _is_initialised(postgres: Postgres) -> bool:
    directory = postgres.directory
    try:
        if not directory.exists() or not any(directory.iterdir()):
            return False
        if not (directory / "global" / "pg_control").exists():
            raise UsageError(
                f"{directory} is half-written or not ours: it is not empty and holds no database. "
                "Move it away, or choose another --data."
            )
        major = (directory / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise UsageError(
            f"{directory} cannot be used as a database: {error.strerror}. Choose another --data."
        ) from error
    if major != MAJOR:
        raise UsageError(f"{directory} was made by PostgreSQL {major}, this is {MAJOR}. Choose another --data.")
    return True


def _initialise(postgres: Postgres, run: Callable[[guarded.Program], None]) -> None:
    """Run initdb beside the directory's final name, so that a start cut short leaves nothing under that name."""
    fresh = postgres.data_dir / "postgres.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    make_directory(fresh, postgres.account)
    program = guarded.Program(
        name="initdb",
        argv=(
            str(postgres.binaries / "initdb"),
            f"--pgdata={HERE}",
            f"--username={OWNER}",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
            *(() if postgres.durable else ("--no-sync",)),
        ),
        env=ENV,
        user=postgres.account.change_to,
        directory=fresh,
    )
    run(program)
    fresh.rename(postgres.directory)


@contextlib.contextmanager
def running_postgres(data_dir: Path, *, durable: bool) -> Iterator[Postgres]:
    """A server with its database, for as long as the block runs; its log is `data_dir`/postgres.log."""
    postgres = prepare_postgres(data_dir, durable=durable)
    with guarded.running(postgres.program(), postgres.is_ready, postgres.data_dir / "postgres.log", READY_DEADLINE_S):
        yield postgres

"""What the local stack keeps beside the servers' data: its lock, the HMAC secret, and the first API key for the CLI."""

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from discovery_service.errors import UsageError
from discovery_service.local.directory import LOCK

LEFTOVERS_DEADLINE_S = 10.0


@dataclass(frozen=True)
class ApiAccess:
    """How to reach the stack's API, and its database; the CLI reads it."""

    url: str
    api_key: str
    database_url: str | None = None
    """In the service's own role. None in a file of an earlier version."""


@dataclass(frozen=True)
class Claim:
    """The data directory is ours until this process and all its guards are gone."""

    data_dir: Path
    guards_fd: int
    """Held open by every guard, so that the next stack can tell when the last process of a killed one has ended."""

    def announce(self, url: str) -> None:
        """Tell who finds the directory taken where the stack runs."""
        _write_private(self.data_dir / "stack.json", json.dumps({"url": url, "pid": os.getpid()}))


@contextlib.contextmanager
def claimed(data_dir: Path) -> Iterator[Claim]:
    """Take the data directory for one stack. UsageError tells where another one runs."""
    with _open_lock(data_dir / LOCK) as own, _open_lock(data_dir / "guards.lock") as guards:
        if not _try_lock(own.fileno()):
            raise UsageError(f"A local stack runs on {data_dir} already: {_running(data_dir)}.")
        deadline = time.monotonic() + LEFTOVERS_DEADLINE_S
        while not _try_lock(guards.fileno()):
            if time.monotonic() > deadline:
                raise UsageError(f"Processes of an earlier stack still run on {data_dir}. End them and start again.")
            time.sleep(0.05)
        yield Claim(data_dir, guards.fileno())


def _open_lock(path: Path) -> BinaryIO:
    try:
        return path.open("ab")
    except PermissionError as error:
        raise UsageError(
            f"{path} belongs to another user. Start as the user who made it, or choose another --data."
        ) from error


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_claimed(data_dir: Path) -> bool:
    """Whether a stack works on the directory just now."""
    try:
        with (data_dir / LOCK).open("rb") as own:
            fcntl.flock(own.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _running(data_dir: Path) -> str:
    try:
        stack = json.loads((data_dir / "stack.json").read_text())
        return f"{stack['url']} (process {stack['pid']}); stop it with Ctrl-C there, or choose another --data"
    except (FileNotFoundError, ValueError, KeyError):
        return "it is just starting"


def get_secret(data_dir: Path) -> str:
    """The HMAC secret of this directory's API keys, made on first use."""
    path = data_dir / "secret"
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(32))
    return path.read_text().strip()


def api_access_path(data_dir: Path) -> Path:
    return data_dir / "api-key.json"


def find_api_access(data_dir: Path) -> ApiAccess | None:
    """What the last `discovery up` on this directory wrote for the CLI; None where there was none."""
    path = api_access_path(data_dir)
    try:
        return ApiAccess(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is not an API key file. Remove it; `discovery up` writes a new one.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def write_api_access(data_dir: Path, access: ApiAccess) -> None:
    _write_private(api_access_path(data_dir), json.dumps(asdict(access)))


def _write_private(path: Path, text: str) -> None:
    """Write the file whole or not at all, readable by its owner alone."""
    fd, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    with open(fd, "w") as file:
        file.write(text + "\n")
    Path(fresh).replace(path)

"""The data directory of a local stack: can it be used, and who works in it."""

import os
from pathlib import Path

from discovery_service.errors import UsageError

LOCK = "stack.lock"
"""In every directory that a stack has worked in."""
# sockaddr_un holds 108 bytes; the margin is for the suffixes that clients add.
SOCKET_PATH_BYTES = 100


def open_data_dir(path: Path) -> Path:
    """Make the directory unless it is there; its absolute path. UsageError when nothing can be written in it."""
    path = path.absolute()
    if path.exists() and not path.is_dir():
        raise UsageError(f"The data directory {path} is a file. Choose another with --data.")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not os.access, which root passes on a read-only file system too.
        probe = path / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"The data directory {path} cannot be written: {error.strerror}. Choose another with --data."
        ) from error
    return path


def check_ours(path: Path) -> None:
    """UsageError when the directory holds things of somebody else, among which a stack would scatter its own."""
    if path.is_dir() and os.access(path, os.R_OK) and any(path.iterdir()) and not (path / LOCK).exists():
        raise UsageError(f"{path} holds other things already. Choose an empty or a new directory with --data.")


def check_socket_path(path: Path) -> None:
    if len(os.fsencode(path)) >= SOCKET_PATH_BYTES:
        raise UsageError(
            f"The socket {path} would have a path of {len(os.fsencode(path))} bytes, and Linux allows about "
            f"{SOCKET_PATH_BYTES}. Choose a shorter --data."
        )


def find_processes_in(directory: Path, program: str) -> list[int]:
    """The processes of this program (by its short name) whose working directory this is, as far as we may look."""
    here = directory.stat()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if Path(f"/proc/{name}/comm").read_text().rstrip("\n") == program and os.path.samestat(
                    Path(f"/proc/{name}/cwd").stat(), here
                ):
                    found.append(int(name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found

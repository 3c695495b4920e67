"""What the tests of the local stack see of it from outside: its processes."""

import os
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def find_processes(directory: Path) -> dict[int, list[str]]:
    """Every living process that names the directory in its command or environment, or works below it."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid() or not is_alive(int(name)):
            continue
        try:
            traces = [
                Path(f"/proc/{name}/cmdline").read_bytes(),
                Path(f"/proc/{name}/environ").read_bytes(),
                os.fsencode(os.readlink(f"/proc/{name}/cwd")),
            ]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(os.fsencode(directory) in trace for trace in traces):
            found[int(name)] = command(int(name))
    return found

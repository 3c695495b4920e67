"""Waits for what other processes and connections do, where no event tells of it."""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import text

from discovery_service.db.sessions import Sessions

T = TypeVar("T")

DEADLINE_S = 60.0
PAUSE_S = 0.02


def wait_until(look: Callable[[], T], *, deadline_s: float = DEADLINE_S) -> T:
    """What `look` returns as soon as that is true; a failed assertion tells what it was at the deadline."""
    ends = time.monotonic() + deadline_s
    while not (seen := look()):
        assert time.monotonic() < ends, f"after {deadline_s} s still {seen!r}"
        time.sleep(PAUSE_S)
    return seen


def wait_for_blocked(sessions: Sessions, count: int) -> None:
    """Until so many connections of this database wait for a lock of another one."""
    # Unlike pg_stat_activity's column, pg_locks tells of other logins' waits too.
    blocked = text(
        "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database()"
    )

    def is_so() -> bool:
        with sessions() as session:
            return session.scalar(blocked) == count

    wait_until(is_so)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody has waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

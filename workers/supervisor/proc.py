"""What the kernel tells of another process, by its id: whether it is stopped, what it has computed, what it holds."""

import os
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STOPPED = ("T", "t")
# Of the fields behind the name in parentheses, which may hold spaces itself.
_STATE, _USER, _SYSTEM, _RESIDENT = 0, 11, 12, 21


@dataclass(frozen=True)
class Sight:
    is_stopped: bool
    """By a signal or a debugger."""
    cpu_s: float
    """Of all its threads."""
    rss_bytes: int


def look_at(pid: int) -> Sight | None:
    """None when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].decode("ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Sight(
        is_stopped=fields[_STATE] in _STOPPED,
        cpu_s=(int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS,
        rss_bytes=int(fields[_RESIDENT]) * _PAGE,
    )

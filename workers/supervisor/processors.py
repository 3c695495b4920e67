"""How many processors this machine, or the container around this process, has for us."""

import math
import os
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def count_processors() -> int:
    """Of a container's quota each part counts as one: half a processor is still one that works."""
    ours, limit = len(os.sched_getaffinity(0)), _read_limit()
    return ours if limit is None else min(ours, limit)


def _read_limit() -> int | None:
    """Microseconds of each period, or "max"."""
    try:
        quota, _, period = _LIMIT.read_text().strip().partition(" ")
    except OSError:
        return None
    return max(1, math.ceil(int(quota) / int(period))) if quota.isdigit() and period.isdigit() else None

"""What of the memory of this machine, or of the container around this process, evaluations may hold."""

import os
from pathlib import Path

LEAST_BYTES = 2 << 30
"""Of one evaluation's process; what it imports takes half a GiB of it."""
_SHARE = 0.8
_LIMIT = Path("/sys/fs/cgroup/memory.max")


def share_memory(slots: int) -> int:
    """For each. Whoever sets more slots than the least fits into gets that all the same."""
    return max(LEAST_BYTES, read_usable() // slots)


def count_fitting(slot_bytes: int | None = None) -> int:
    """How many slots of that size, or the least one, there is memory for; one in any case."""
    return max(1, read_usable() // (slot_bytes or LEAST_BYTES))


def read_usable() -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(min(total, _read_limit() or total) * _SHARE)


def _read_limit() -> int | None:
    try:
        text = _LIMIT.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None

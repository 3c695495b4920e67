"""How much a job may take on a CPU, and how a failed allocation is told from other errors."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_MARKS = ("out of memory", "can't allocate memory", "bad_alloc", "bad allocation", "ALLOC_FAILED")
_KIB = 1024
SLACK_BYTES = 64 << 20
"""How far below the supervisor's limit the process's own is. What was mapped before and is touched only now (41 MiB in
a warm process), and code that is first read while something fails, take memory that nobody can refuse."""


@contextmanager
def memory_limit(limit_bytes: int | None) -> Iterator[None]:
    """Make allocations fail beyond what the process may hold in all; the supervisor's own watch kills it only then.

    The kernel counts what is mapped, not what is touched; so the limit is on what is added from now on, less the slack.
    """
    if limit_bytes is None:
        yield
        return
    sizes = read_sizes()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = sizes["VmData"] + max(0, limit_bytes - sizes["VmRSS"] - SLACK_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def is_out_of_memory(error: BaseException | None) -> bool:
    """On a CPU torch raises a plain RuntimeError; a library on a card says it in words of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in _MARKS)


def read_sizes(pid: int | None = None) -> dict[str, int]:
    """Of a process, this one unless given, in bytes and by the kernel's names."""
    with open(f"/proc/{pid or 'self'}/status", encoding="ascii") as status:
        fields = (line.split() for line in status)
        return {words[0].rstrip(":"): int(words[1]) * _KIB for words in fields if words[-1] == "kB"}

"""What the supervisor and the zygote tell each other: numbers and names, never a candidate's text or output.

Those go through pipes between supervisor and child, whose ends travel beside an order.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

MESSAGE_BYTES = 16 << 10
KILL = b"kill"
"""The supervisor has enough of the child that runs."""
ORDER_DESCRIPTORS = 3
"""Request (read), result (write), log (write)."""


@dataclass(frozen=True)
class Message:
    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, message: bytes) -> Self:
        fields: dict[str, Any] = json.loads(message)
        return cls(**fields)


@dataclass(frozen=True)
class Hello(Message):
    """The zygote is warm, or says why it cannot be."""

    failure: str | None
    jobs: list[str]
    torch: str | None
    rss_bytes: int


@dataclass(frozen=True)
class Order(Message):
    """Fork a child for this job."""

    job: str
    wall_s: float
    cpu_s: int
    memory_bytes: int
    optional: list[str]
    without: list[str]


@dataclass(frozen=True)
class Ended(Message):
    """How the child ended."""

    status: int
    """As wait(2) gives it."""
    was_late: bool
    """Killed at the order's wall time."""
    cpu_s: float
    wall_s: float
    max_rss_bytes: int
    waited_s: float
    """For a processor that others had; only of a late one, and 0 where the kernel does not count it."""


@dataclass(frozen=True)
class LockReport(Message):
    """A child's first line, written before it looks at its request; what comes after may be forged."""

    failure: str | None
    layers: list[str]
    missing: dict[str, str]

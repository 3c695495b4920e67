"""What became of one evaluation, by whose doing: the candidate's (`Failed`), ours (`Crashed`), or a user's wish."""

from dataclasses import dataclass, field

Series = dict[str, list[float | None]]


@dataclass(frozen=True)
class Limits:
    """Of one evaluation."""

    evaluation_s: float
    """Processor time that training may take: beyond it the loss is at fault, however busy the machine."""
    stall_s: float
    """What training and measuring may take by the clock, and as long again building: beyond it this machine is."""
    memory_bytes: int | None = None
    """What the process may hold in all."""


@dataclass(frozen=True)
class Measured:
    metrics: dict[str, float | None]
    series: Series
    device_s: float
    """How long the device was taken, without building the arena."""
    building_s: float = 0.0
    """Before that, for the arena and the draw's pairs: whoever comes first builds for all, so nobody is charged."""


@dataclass(frozen=True)
class Failed:
    """A result too, and charged like one: it goes into the next prompt."""

    code: str
    """diverged, non_finite, memory, refused or time."""
    message: str
    step: int | None = None
    series: Series = field(default_factory=dict)
    device_s: float = 0.0


@dataclass(frozen=True)
class Crashed:
    """Never scored and never charged: the evaluation is tried again."""

    reason: str
    log: str = ""
    """What the process wrote to stderr last, for this machine's operator."""


@dataclass(frozen=True)
class Cancelled:
    pass


Outcome = Measured | Failed | Crashed | Cancelled

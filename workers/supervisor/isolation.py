"""How well a jail is locked: the level, and what it was derived from."""

import platform
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    FULL = "full"
    """Every canary was held, Landlock behind the filter. Candidates are compiled and executed."""
    SECCOMP = "seccomp"
    """Every canary was held, by the filter without Landlock. Candidates are compiled, never executed."""
    UNAVAILABLE = "unavailable"
    """No lock holds here."""

    def reaches(self, minimum: "Level") -> bool:
        best_first = list(Level)
        return best_first.index(self) <= best_first.index(minimum)


@dataclass(frozen=True)
class Isolation:
    level: Level
    reason: str | None = None
    """Why the level is not full, in one sentence."""
    layers: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    """Layers that are not in force, with the kernel's reason."""
    landlock_abi: int = 0
    leaks: tuple[str, ...] = ()
    """Canaries that got out."""
    uid: int | None = None
    """Of the children."""
    torch: str | None = None
    kernel: str = field(default_factory=platform.release)
    machine: str = field(default_factory=platform.machine)

    def document(self) -> dict[str, Any]:
        """As JSON, for readiness, doctor and the fleet."""
        return asdict(self) | {"level": self.level.value, "layers": list(self.layers), "leaks": list(self.leaks)}

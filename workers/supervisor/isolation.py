"""How well a jail is locked: the level, and what it was derived from."""

import platform
from dataclasses import asdict, dataclass, field
from typing import Any

from discovery_service.domain.isolation import Level


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

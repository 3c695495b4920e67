"""How well a jail is locked, as a worker reports it, and as a service or a campaign may demand it."""

from enum import StrEnum


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

"""The one jail of a pool's process: open from the process's start, tried anew when its lock was not enough."""

import atexit
import time
from dataclasses import dataclass, field
from functools import cache
from uuid import UUID

import structlog

from discovery_service.domain.isolation import Level
from discovery_service.engine.workers import note_isolation
from discovery_service.settings import get_settings
from workers.process import task_unit
from workers.supervisor.jail import Jail

log = structlog.get_logger(__name__)

# Starting a zygote takes seconds of a core; a kernel changes its mind rarely.
TRY_AGAIN_AFTER_S = 30.0


def demanded() -> Level:
    """The weakest lock under which this service compiles candidates."""
    return Level(get_settings().jail.minimum)


def make_jail() -> Jail:
    """For a context; as strict as this service is set."""
    return Jail(minimum=demanded())


def is_enough(jail: Jail) -> bool:
    """Whether the lock reaches what this service demands."""
    return jail.isolation.level.reaches(demanded())


@dataclass
class OwnJail:
    """This process's jail, and what is known of it elsewhere."""

    jail: Jail = field(default_factory=make_jail)
    tried_at: float | None = None
    noted: Level | None = None
    """The level that stands in the fleet."""

    def open(self, worker_id: UUID) -> Jail:
        """The jail, opened again if it was not enough and some time has passed. Its level shows in the fleet."""
        if self.tried_at is None or (not is_enough(self.jail) and self._is_due(self.tried_at)):
            self.jail.__enter__()
            self.tried_at = time.monotonic()
        self.note_level(worker_id)
        return self.jail

    def _is_due(self, tried_at: float) -> bool:
        return time.monotonic() - tried_at >= TRY_AGAIN_AFTER_S

    def note_level(self, worker_id: UUID) -> None:
        """Also after a job: a jail that lost its zygote starts another, which may be locked less well."""
        level = self.jail.isolation.level
        if level is self.noted:
            return
        with task_unit() as session:
            note_isolation(session, worker_id, level.value)
        if not is_enough(self.jail):
            log.error("gate.jail_unavailable", level=level.value, reason=self.jail.isolation.reason)
        self.noted = level

    def close(self) -> None:
        self.jail.__exit__()


@cache
def get_own_jail() -> OwnJail:
    """Its zygote dies with this process; an orderly end closes it before."""
    own = OwnJail()
    atexit.register(own.close)
    return own

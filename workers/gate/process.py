"""The one jail of a process, opened when it is first needed, and what stands in every archive: the library."""

import atexit
from functools import cache

from discovery_service.domain.families import Family
from discovery_service.domain.isolation import Level
from discovery_service.losses.described import list_described
from discovery_service.settings import get_settings
from workers.supervisor.jail import Jail


def make_jail() -> Jail:
    """For a context; as strict as this service is set."""
    return Jail(minimum=Level(get_settings().jail.minimum))


@cache
def get_jail() -> Jail:
    """Its zygote dies with this process; an orderly end closes it before."""
    jail = make_jail()
    jail.__enter__()
    atexit.register(jail.__exit__)
    return jail


def is_enough(jail: Jail) -> bool:
    """Whether the lock reaches what this service demands."""
    return jail.isolation.level.reaches(Level(get_settings().jail.minimum))


def forget_jail() -> None:
    """So that the next job tries anew."""
    get_jail().__exit__()
    get_jail.cache_clear()


def library_fingerprints(family: Family) -> list[tuple[str, bytes]]:
    return [(name, each.fingerprint) for name, each in list_described(family).items()]

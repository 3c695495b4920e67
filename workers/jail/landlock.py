"""Landlock with no rule at all: every file, TCP port, abstract socket and foreign process is out of reach."""

import os
import struct

from workers.jail.kernel import system_call

# The same numbers on every machine.
CREATE_RULESET = 444
RESTRICT_SELF = 446
ASK_VERSION = 1

# How many rights over files a version knows; newer ones have no more than the fifth.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_MOST_FILE_RIGHTS = 16
_BIND_AND_CONNECT_TCP = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def read_version() -> int:
    """The kernel's Landlock ABI; OSError where it has none or does not let us."""
    return system_call("landlock_create_ruleset", CREATE_RULESET, None, 0, ASK_VERSION)


def deny_all() -> None:
    """Needs no privilege once no_new_privs is set. Leaves a descriptor open only until it returns."""
    rules = _ruleset(read_version())
    descriptor = system_call("landlock_create_ruleset", CREATE_RULESET, rules, len(rules), 0)
    try:
        system_call("landlock_restrict_self", RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)


def _ruleset(version: int) -> bytes:
    """What is handled, hence denied: each version takes a longer structure."""
    files = (1 << _FILE_RIGHTS.get(version, _MOST_FILE_RIGHTS)) - 1
    if version < 4:
        return struct.pack("=Q", files)
    if version < 6:
        return struct.pack("=QQ", files, _BIND_AND_CONNECT_TCP)
    return struct.pack("=QQQ", files, _BIND_AND_CONNECT_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS)

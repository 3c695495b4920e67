"""Locks the calling process for good. Just forked and with one thread, it puts one layer after another in force.

The order is part of the lock: each step needs a call that a later one takes away. Whoever gets `LockFailed` must end.
"""

import errno
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

from workers.jail import landlock, seccomp
from workers.jail.kernel import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, prctl, system_call

# Nobody's: between systemd's dynamic users and `nobody`, who owns processes on many machines.
JAIL_ID = 65_529

FIRST_CLOSED = 3
STACK_BYTES = 8 << 20

_CLOSE_RANGE = 436
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_DESCRIPTORS = 0xFFFFFFFF


class Layer(StrEnum):
    DESCRIPTORS = "descriptors"
    UID = "uid"
    CAPABILITIES = "capabilities"
    NO_NEW_PRIVS = "no_new_privs"
    UNDUMPABLE = "undumpable"
    LANDLOCK = "landlock"
    RLIMITS = "rlimits"
    SECCOMP = "seccomp"


OPTIONAL = frozenset({Layer.UID, Layer.LANDLOCK})
"""Their lack lowers the level, or is only reported: a container's root may have no other uid to change to."""
UNLOCKED = OPTIONAL | {Layer.CAPABILITIES, Layer.NO_NEW_PRIVS, Layer.SECCOMP}
"""What an operator gives up who lets sources be compiled without a lock."""


@dataclass(frozen=True)
class Limits:
    cpu_s: int
    memory_bytes: int
    """Beyond what the process has mapped already."""


@dataclass
class Lock:
    layers: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Layers that could not be put in force, with the kernel's reason."""


_in_force: set[str] = set()
"""In this process."""


def is_locked() -> bool:
    """Whether this very process has put the filter in force, and closed all else that it could reach files by."""
    return {Layer.DESCRIPTORS, Layer.RLIMITS, Layer.SECCOMP} <= _in_force


class LockFailed(Exception):
    """A layer that nobody may go without could not be put in force."""


def lock(
    parent: int,
    limits: Limits,
    *,
    optional: Collection[str] = OPTIONAL,
    without: Collection[str] = (),
) -> Lock:
    """Put all layers in force but those `without`; those of `optional` only where the kernel lets us."""
    mapped = mapped_bytes()
    die_with(parent)
    os.setsid()
    steps: dict[Layer, Callable[[], None]] = {
        Layer.DESCRIPTORS: _close_descriptors,
        Layer.UID: lambda: _change_id(parent),
        Layer.CAPABILITIES: _drop_capabilities,
        Layer.NO_NEW_PRIVS: lambda: prctl(PR_SET_NO_NEW_PRIVS, 1),
        Layer.UNDUMPABLE: lambda: prctl(PR_SET_DUMPABLE, 0),
        Layer.LANDLOCK: landlock.deny_all,
        Layer.RLIMITS: lambda: _set_limits(limits, mapped),
        Layer.SECCOMP: lambda: seccomp.install(seccomp.build_filter(os.getpid())),
    }
    if os.geteuid() != 0:
        del steps[Layer.UID]
    done = Lock()
    for layer, put_in_force in steps.items():
        if layer in without:
            continue
        try:
            put_in_force()
        except (OSError, ValueError) as error:
            if layer not in optional:
                raise LockFailed(f"{layer}: {error}") from error
            done.missing[layer] = str(error)
        else:
            done.layers.append(layer)
    _in_force.update(done.layers)
    return done


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent's thread ends; end now if that has happened already."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def mapped_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _close_descriptors() -> None:
    try:
        system_call("close_range", _CLOSE_RANGE, FIRST_CLOSED, _MOST_DESCRIPTORS, 0)
    except OSError:  # before Linux 5.9
        os.closerange(FIRST_CLOSED, os.sysconf("SC_OPEN_MAX"))


def _change_id(parent: int) -> None:
    os.setgroups([])
    os.setresgid(JAIL_ID, JAIL_ID, JAIL_ID)
    os.setresuid(JAIL_ID, JAIL_ID, JAIL_ID)
    # A change of user clears it.
    die_with(parent)


def _drop_capabilities() -> None:
    """Also those that a root without another uid, or an ambient set, would have kept."""
    number = _CAPSET.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"the number of capset is not known for {platform.machine()}")
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    none = bytes(24)
    system_call("capset", number, header, none)


def _set_limits(limits: Limits, mapped: int) -> None:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: FIRST_CLOSED,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_STACK: STACK_BYTES,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_AS: mapped + limits.memory_bytes,
    }
    for name, value in wanted.items():
        hard = resource.getrlimit(name)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (most, most))

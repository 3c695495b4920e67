"""Harmless attacks on the lock itself, run in locked children when a jail starts; what gets through lowers the level.

Each returns whether it got out. Many end otherwise: killed by the filter (held), or as another program that gives no
answer (got out). A test runs them without a lock and sees every one of them get out.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import re
import resource
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from workers.jail.kernel import PR_SET_DUMPABLE, prctl, system_call
from workers.jail.seccomp import NUMBERS, X32_BIT

TOO_MUCH_BYTES = 256 << 20
"""More than a canary is allowed to have."""
TOO_LONG_S = 1.0
"""Longer than the canary `outstay` is allowed to live."""

_TRACE_ME = 0
_NEW_USER_NAMESPACE = 0x10000000
_MANY = 1024
# What the zygote is started with, or torch adds.
_HARMLESS = re.compile(rb"PATH|LANG|HOME|USER|CUDA_VISIBLE_DEVICES|GLIBC_TUNABLES|[A-Z]+_NUM_THREADS|TORCH[A-Z_]+")


def _gets_through(attack: Callable[[], Any]) -> bool:
    try:
        attack()
    except OSError:
        return False
    return True


def read_directory() -> bool:
    return _gets_through(lambda: os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY)))


def read_metadata() -> bool:
    return _gets_through(lambda: os.stat("/"))


def make_memory_file() -> bool:
    return _gets_through(lambda: os.close(os.memfd_create("canary")))


def read_environment() -> bool:
    """Any other variable than a zygote's own would be one of the service's, among which are its secrets."""
    environment = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    number = 0
    while (entry := environment[number]) is not None:
        if not _HARMLESS.fullmatch(entry.partition(b"=")[0]):
            return True
        number += 1
    return False


def use_inherited_descriptors() -> bool:
    """Writes nothing: that alone tells an open descriptor from a closed one."""
    return any(_gets_through(partial(os.write, number, b"")) for number in range(3, _MANY))


def duplicate_descriptor() -> bool:
    return _gets_through(lambda: os.close(os.dup(0)))


def run_program() -> bool:
    os.execv("/bin/true", ["true"])  # noqa: S606 - no shell is wanted


def map_native_code() -> bool:
    return _gets_through(lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close())


def fork() -> bool:
    try:
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def start_thread() -> bool:
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True


def clone() -> bool:
    """Its flags lie in memory, where a filter cannot see them: it must not exist at all."""
    try:
        system_call("clone3", NUMBERS["clone3"], None, 0)
    except OSError as error:
        return error.errno != errno.ENOSYS
    return True


def send_signal() -> bool:
    return _gets_through(lambda: os.kill(os.getpid(), 0))


def trace() -> bool:
    return _gets_through(lambda: system_call("ptrace", NUMBERS["ptrace"], _TRACE_ME, 0, 0, 0))


def make_namespace() -> bool:
    """A refusal by an outer filter is none of ours: ours kills."""
    with contextlib.suppress(OSError):
        system_call("unshare", NUMBERS["unshare"], _NEW_USER_NAMESPACE)
    return True


def use_io_uring() -> bool:
    with contextlib.suppress(OSError):
        system_call("io_uring_setup", NUMBERS["io_uring_setup"], 0, None)
    return True


def use_x32_numbers() -> bool:
    with contextlib.suppress(OSError):
        system_call("getpid of x32", X32_BIT + NUMBERS["getpid"])
    return True


def open_socket_pair() -> bool:
    return _gets_through(socket.socketpair)


def open_udp_socket() -> bool:
    """Landlock knows nothing of it."""
    return _gets_through(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close())


def become_dumpable() -> bool:
    return _gets_through(lambda: prctl(PR_SET_DUMPABLE, 1))


def change_limits() -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ValueError:  # what Python makes of EPERM here
        return False
    return True


def take_memory() -> bool:
    bytearray(TOO_MUCH_BYTES)
    return True


def outstay() -> bool:
    time.sleep(TOO_LONG_S)
    return True


CANARIES: dict[str, Callable[[], bool]] = {
    attack.__name__: attack
    for attack in (
        read_directory, read_metadata, make_memory_file, read_environment, use_inherited_descriptors,
        duplicate_descriptor, run_program, map_native_code, fork, start_thread, clone, send_signal, trace,
        make_namespace, use_io_uring, use_x32_numbers, open_socket_pair, open_udp_socket, become_dumpable,
        change_limits, take_memory, outstay,
    )
}  # fmt: skip


def run_canary(request: dict[str, Any]) -> dict[str, Any]:
    return {"got_out": CANARIES[request["name"]]()}

"""The filter of system calls, assembled by hand: what a warm process needs to compute and to answer, nothing else.

Covered: x86-64, its 32-bit and x32 entries included. Not covered: other machines, where installing it fails.
What is denied gets EPERM, because Python and torch look for source files when they report an error; what no honest
program tries kills the process (SIGSYS), so that it can be told from a mistake.
"""

import ctypes
import errno
import platform
import signal
import struct

from workers.jail.kernel import PR_SET_SECCOMP, prctl

AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000
SECCOMP_MODE_FILTER = 2
PROT_EXEC = 4

KILL = 0x80000000
ALLOW = 0x7FFF0000
_ERROR = 0x00050000

NUMBERS = {
    "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "ioctl": 16, "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "execve": 59,
    "exit": 60, "gettimeofday": 96, "getrusage": 98, "ptrace": 101, "sigaltstack": 131, "prctl": 157, "mount": 165,
    "init_module": 175, "gettid": 186, "time": 201, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
    "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234, "kexec_load": 246, "add_key": 248,
    "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298, "prlimit64": 302,
    "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313,
    "seccomp": 317, "getrandom": 318, "bpf": 321, "execveat": 322, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438,
}  # fmt: skip

# Of these only mmap, munmap, write and exit_group were ever seen to be used; the rest is margin for malloc and clocks.
ALLOWED = (
    "write", "munmap", "mremap", "brk", "madvise", "futex", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sigaltstack", "restart_syscall", "getpid", "gettid", "clock_gettime", "clock_getres", "gettimeofday", "time",
    "clock_nanosleep", "nanosleep", "getrandom", "getrusage", "exit", "exit_group",
)  # fmt: skip

DEADLY = (
    "ptrace", "process_vm_readv", "process_vm_writev", "unshare", "setns", "mount", "bpf", "keyctl", "add_key",
    "request_key", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "init_module", "finit_module",
    "kexec_load", "pidfd_open", "pidfd_getfd", "open_by_handle_at", "execve", "execveat", "seccomp",
)  # fmt: skip

# Offsets in struct seccomp_data.
NUMBER = 0
ARCHITECTURE = 4
_ARGUMENTS = 16


def low_word(argument: int) -> int:
    return _ARGUMENTS + 8 * argument


def high_word(argument: int) -> int:
    return low_word(argument) + 4


def load(offset: int) -> bytes:
    return _instruction(0x20, offset)


def jump_if_equal(value: int, if_true: int, if_false: int) -> bytes:
    return _instruction(0x15, value, if_true, if_false)


def jump_if_at_least(value: int, if_true: int, if_false: int) -> bytes:
    return _instruction(0x35, value, if_true, if_false)


def jump_if_any_bit(value: int, if_true: int, if_false: int) -> bytes:
    return _instruction(0x45, value, if_true, if_false)


def end(action: int) -> bytes:
    return _instruction(0x06, action)


def fail_with(number: int) -> int:
    return _ERROR | number


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


DENY = end(fail_with(errno.EPERM))
PERMIT = end(ALLOW)


def on_call(number: int, *body: bytes) -> list[bytes]:
    """Instructions for one call, after its number was loaded. The body ends in all its branches."""
    return [jump_if_equal(number, 0, len(body)), *body]


def build_filter(pid: int) -> bytes:
    """The program for the process `pid`, which may send itself SIGABRT and no other signal."""
    program = [
        load(ARCHITECTURE), jump_if_equal(AUDIT_ARCH_X86_64, 1, 0), end(KILL),
        load(NUMBER), jump_if_at_least(X32_BIT, 0, 1), end(KILL),
    ]  # fmt: skip
    for name in DEADLY:
        program += on_call(NUMBERS[name], end(KILL))
    for name in ALLOWED:
        program += on_call(NUMBERS[name], PERMIT)
    for name in ("mmap", "mprotect"):  # memory, but no new native code
        program += on_call(NUMBERS[name], load(low_word(2)), jump_if_any_bit(PROT_EXEC, 0, 1), DENY, PERMIT)
    # abort() alone: who could send itself SIGKILL would pass for a victim of the host.
    program += on_call(
        NUMBERS["tgkill"],
        load(low_word(0)), jump_if_equal(pid, 1, 0), DENY,
        load(low_word(2)), jump_if_equal(signal.SIGABRT, 0, 1), PERMIT, DENY,
    )  # fmt: skip
    program += on_call(  # getrlimit of its own: neither another process nor a new limit
        NUMBERS["prlimit64"],
        load(low_word(0)), jump_if_equal(0, 1, 0), DENY,
        load(low_word(2)), jump_if_equal(0, 1, 0), DENY,
        load(high_word(2)), jump_if_equal(0, 1, 0), DENY,
        PERMIT,
    )  # fmt: skip
    program += on_call(NUMBERS["clone3"], end(fail_with(errno.ENOSYS)))  # glibc then tries clone, which is denied
    program += on_call(NUMBERS["ioctl"], end(fail_with(errno.ENOTTY)))  # isatty() is False
    return b"".join([*program, DENY])


def install(program: bytes) -> None:
    """Put a filter over this process and whatever it becomes; it cannot be taken off again."""
    if platform.machine() != "x86_64":
        raise OSError(errno.ENOSYS, f"there is no filter for {platform.machine()}, only for x86_64")
    text = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(text)))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header))

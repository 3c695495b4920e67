"""The filter's program, run over every number that a call may have: what is not meant to pass does not."""

import errno
import signal
import struct
from pathlib import Path

import pytest

from workers.jail import seccomp
from workers.jail.seccomp import ALLOW, AUDIT_ARCH_X86_64, KILL, NUMBERS, build_filter, fail_with

PID = 4711
I386 = 0x40000003
EPERM = fail_with(errno.EPERM)
NAMES = {number: name for name, number in NUMBERS.items()}
HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


def decide(number: int, *arguments: int, architecture: int = AUDIT_ARCH_X86_64) -> int:
    """What the kernel's interpreter makes of the program."""
    words = [each & 0xFFFFFFFFFFFFFFFF for each in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("=iIQ6Q", number, architecture, 0, *words)
    program = list(struct.iter_unpack("=HBBI", build_filter(PID)))
    place = value = 0
    while True:
        code, if_true, if_false, constant = program[place]
        place += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, constant)
            case 0x15:
                place += if_true if value == constant else if_false
            case 0x35:
                place += if_true if value >= constant else if_false
            case 0x45:
                place += if_true if value & constant else if_false
            case 0x06:
                return int(constant)


def test_every_call_of_the_kernel_is_decided_as_the_lists_say() -> None:
    wrong = {}
    for number in range(1_024):
        name = NAMES.get(number)
        # With all arguments zero: no PROT_EXEC, no new limit.
        if name in seccomp.ALLOWED or name in ("mmap", "mprotect", "prlimit64"):
            expected = ALLOW
        elif name in seccomp.DEADLY:
            expected = KILL
        else:
            expected = {"clone3": fail_with(errno.ENOSYS), "ioctl": fail_with(errno.ENOTTY)}.get(name or "", EPERM)
        if decide(number) != expected:
            wrong[number] = name
    assert wrong == {}


def test_other_entries_to_the_kernel_are_deadly() -> None:
    for number in range(1_024):
        assert decide(number, architecture=I386) == KILL
        assert decide(seccomp.X32_BIT + number) == KILL


@pytest.mark.parametrize("call", ["mmap", "mprotect"])
def test_no_memory_becomes_native_code(call: str) -> None:
    for protection in range(8):
        expected = EPERM if protection & seccomp.PROT_EXEC else ALLOW
        assert decide(NUMBERS[call], 0, 4096, protection) == expected


def test_of_all_signals_only_its_own_abort_may_be_sent() -> None:
    allowed = {
        (pid, number)
        for pid in (0, 1, PID, -1)
        for number in range(65)
        if decide(NUMBERS["tgkill"], pid, pid, number) == ALLOW
    }
    assert allowed == {(PID, signal.SIGABRT)}


def test_limits_are_read_and_only_its_own() -> None:
    assert decide(NUMBERS["prlimit64"], 0, 7, 0, 0x7FFF_0000_0000) == ALLOW
    assert decide(NUMBERS["prlimit64"], 1, 7, 0) == EPERM
    for new in (1, 0x1_0000_0000, 0x7FFF_1234_5678):
        assert decide(NUMBERS["prlimit64"], 0, 7, new) == EPERM


@pytest.mark.skipif(not HEADER.exists(), reason="no kernel header here")
def test_the_numbers_are_the_kernels() -> None:
    defined = dict(
        line.removeprefix("#define __NR_").split() for line in HEADER.read_text().splitlines() if "__NR_" in line
    )
    assert {name: int(defined[name]) for name in NUMBERS} == NUMBERS

"""One runtime process as its parent holds it: started in a group of its own, read without waiting, ended for certain.

It tells what the process said and how it ended, not whose fault that was.
"""

import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import FileIO
from typing import cast

import structlog

from workers.runtime.protocol import LINE_BYTES

log = structlog.get_logger(__name__)

LOG_BYTES = 16 << 10
TERM_GRACE_S = 1.0
# In the middle of a driver's call or of a file system that does not answer, a process dies no sooner than that ends.
KILL_GRACE_S = 10.0
_PART = 1 << 16


class LineTooLong(Exception):
    """No message of ours is."""


class RuntimeChild:
    """`exchange` is all waiting there is; whoever starts it calls `end`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        # Of a thread of a pool: neither a death signal, which comes with the end of that thread, nor a preexec_fn.
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._handle = os.pidfd_open(self._process.pid)
        self._stdin, self._stdout, self._stderr = (
            cast(FileIO, pipe) for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._to_write = memoryview(b"")
        self._line = bytearray()
        self._log = bytearray()
        self._stderr_has_ended = False
        self._selector = selectors.DefaultSelector()
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)
        for readable in (self._stdout, self._stderr, self._handle):
            self._selector.register(readable, selectors.EVENT_READ)
        self.has_ended = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """The last of what it wrote to stderr since it last began something."""
        return self._log.decode(errors="replace")

    def begin(self, line: bytes) -> None:
        """Say what to do next. From now on the log is of that alone: older words say nothing of how it ends."""
        while self._read_log():
            pass
        self._log.clear()
        self._to_write = memoryview(line)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def exchange(self, timeout_s: float) -> list[bytes]:
        """Write and read what can be, waiting at most so long; the lines that came. Raises LineTooLong."""
        ready = [key.fileobj for key, _ in self._selector.select(timeout_s)]
        if self._stdin in ready:
            self._write()
        if self._stderr in ready:
            self._read_log()
        # Looked at before the last lines are read, so that none is missed that came before the end.
        self.has_ended = self._handle in ready
        return self._read_lines() if self._stdout in ready else []

    def describe_end(self) -> str:
        """Of one that has: how, with the last line of its log, where an interpreter says why."""
        self._read_log()
        status, number = self._find_end()
        how = f"with exit status {status}" if number is None else f"by {number.name}"
        lines = self.log.strip().splitlines()
        return how + (f": {lines[-1][:300]}" if lines else "")

    def has_given_up(self) -> bool:
        """Of one that has ended: whether by its own doing, an exit or an abort. Other signals others send too."""
        return self._find_end()[1] in (None, signal.SIGABRT)

    def end(self) -> None:
        """The process and whatever it started; it gets a moment to go by itself unless it has gone.

        One that not even SIGKILL ends is left to itself: its slot goes on with another.
        """
        self._signal(signal.SIGTERM)
        self._wait(TERM_GRACE_S)
        self._signal(signal.SIGKILL)
        if self._wait(KILL_GRACE_S):
            self._process.wait()
        else:
            log.error("runtime.abandoned", pid=self.pid, hint="SIGKILL does not end it; look at the card and the disks")
        self._selector.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()
        os.close(self._handle)

    def _find_end(self) -> tuple[int, signal.Signals | None]:
        """Its exit status, and what signal ended it if one did."""
        # Not reaped yet: until the last signal the number of its group stays taken.
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        is_exit = ended.si_code == os.CLD_EXITED
        return ended.si_status, None if is_exit else signal.Signals(ended.si_status)

    def _wait(self, timeout_s: float) -> bool:
        """Whether it has ended by then."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._handle, selectors.EVENT_READ)
            return bool(selector.select(timeout_s))

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _write(self) -> None:
        with suppress(BrokenPipeError):
            self._to_write = self._to_write[self._stdin.write(self._to_write) or 0 :]
            if self._to_write:
                return
        self._selector.unregister(self._stdin)

    def _read_lines(self) -> list[bytes]:
        while part := self._stdout.read(_PART):
            self._line += part
            if len(self._line) > LINE_BYTES + _PART:
                break
        if part == b"":
            self._selector.unregister(self._stdout)
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        if any(len(line) > LINE_BYTES for line in (*lines, rest)):
            raise LineTooLong
        return lines

    def _read_log(self) -> bool:
        """A part of it; whether there may be more."""
        if self._stderr_has_ended:
            return False
        part = self._stderr.read(_PART)
        if part == b"":
            self._selector.unregister(self._stderr)
            self._stderr_has_ended = True
        self._log += part or b""
        del self._log[:-LOG_BYTES]
        return bool(part)

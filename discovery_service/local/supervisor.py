"""Runs programs below guards: streams their lines, restarts those that die, stops them in order.

One loop in the main thread starts and watches everything; what blocks (migrations, polling) runs in a thread beside it,
so that Ctrl-C is heard at any moment. Every other child of this process is taken for a stray and killed.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from discovery_service.errors import UsageError
from discovery_service.local import guard, guarded
from discovery_service.local.output import LineReader, Output

T = TypeVar("T")

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
# A child that lived this long is taken for healthy: its next death starts the delays anew.
HEALTHY_AFTER_S = 30.0
# What is not gone by then is killed; PostgreSQL, the last, gets all that the others left. The interpreter's own end
# takes .5 s after that, and the whole may take 5.
STOP_WITHIN_S = 4.0
TURN_S = 0.5
KILL_TURN_S = 0.02


class StopRequested(Exception):
    """The person or the machine wants the stack to stop."""


@dataclass
class Child:
    program: guarded.Program
    before_restart: Callable[[], None] | None = None
    is_restarted: bool = True
    status: int | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float | None = None
    delay_s: float = FIRST_DELAY_S

    @property
    def name(self) -> str:
        return self.program.name


class Supervisor:
    """A context: on leaving it, every process that was started is gone."""

    def __init__(self, output: Output, hold_fds: Sequence[int]) -> None:
        self._output = output
        self._hold_fds = hold_fds
        self._selector = selectors.DefaultSelector()
        self._groups: list[list[Child]] = []
        self._is_stopping = False
        self._interrupts = 0
        self._is_asked_to_stop = False

    @property
    def was_killed(self) -> bool:
        """Whether the person lost patience with the orderly stop."""
        return self._interrupts > 1

    def __enter__(self) -> Self:
        guard.become_subreaper()
        self._wake, self._wake_writer = os.pipe()
        for fd in (self._wake, self._wake_writer):
            os.set_blocking(fd, False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._old_wakeup_fd = signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        self._old_handlers = {
            number: signal.signal(number, lambda *_: None)
            for number in (*guard.STOP_SIGNALS, signal.SIGCHLD)
            # nohup means to go on after a hangup.
            if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN)
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_all()
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup_fd)
        self._selector.close()
        os.close(self._wake)
        os.close(self._wake_writer)

    def start(self, *programs: guarded.Program, before_restart: Callable[[], None] | None = None) -> None:
        """Start programs and keep them running. Those started in one call are stopped together, the last call's first.

        `before_restart` clears what the death of a program left, without waiting; while it raises UsageError, the
        restart is put off.
        """
        group = [Child(program, before_restart) for program in programs]
        self._groups.append(group)
        for child in group:
            self._start(child)

    def run(self, program: guarded.Program) -> None:
        """Run a program to its end and look after the others meanwhile; ProgramFailed unless it ends well."""
        child = Child(program, is_restarted=False)
        self._groups.append([child])
        self._start(child)
        while child.process is not None:
            self._turn(TURN_S)
        self._groups.pop()
        if child.status != 0:
            raise guarded.ProgramFailed(f"{child.name} ended with status {child.status}; its lines above say why.")

    def run_beside(self, work: Callable[[], T]) -> T:
        """Do something that blocks in a thread and look after the children meanwhile."""
        results: list[T] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                results.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the main thread
                errors.append(error)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        while thread.is_alive():
            self._turn(0.02)
        if errors:
            raise errors[0]
        return results[0]

    def run_until_stopped(self) -> None:
        while True:
            self._turn(TURN_S)

    def _turn(self, longest_s: float) -> None:
        """Wait for something to happen and answer to it. Raises StopRequested, once."""
        now = time.monotonic()
        due = [child.restart_at - now for child in self._children() if child.restart_at is not None]
        for key, _ in self._selector.select(max(0.0, min([longest_s, *due]))):
            if key.fd == self._wake:
                self._hear_signals()
            else:
                self._forward(key.data)
        for child in self._children():
            self._look_after(child)
        if (self._is_asked_to_stop or self._output.is_closed) and not self._is_stopping:
            self._is_stopping = True
            raise StopRequested

    def _children(self) -> list[Child]:
        return [child for group in self._groups for child in group]

    def _hear_signals(self) -> None:
        for number in os.read(self._wake, 1024):
            if number in guard.STOP_SIGNALS:
                self._is_asked_to_stop = True
            if number == signal.SIGINT:
                self._interrupts += 1

    def _forward(self, reader: LineReader) -> None:
        lines = reader.read()
        if reader.is_at_end:
            self._selector.unregister(reader.fd)
            os.close(reader.fd)
        for line in lines:
            self._output.write(reader.name, line)

    def _start(self, child: Child) -> None:
        read_end, write_end = os.pipe()
        try:
            child.process = guarded.spawn(child.program, write_end, self._hold_fds)
        except OSError:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        child.started_at = time.monotonic()
        child.restart_at = None
        self._selector.register(read_end, selectors.EVENT_READ, LineReader(read_end, child.name))

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            self._bury(child, child.process.returncode, now)
        elif child.restart_at is not None and now >= child.restart_at and not self._is_stopping:
            try:
                if child.before_restart is not None:
                    child.before_restart()
                self._start(child)
            except (OSError, UsageError) as error:
                self._schedule(child, f"could not be started again: {error}", now)

    def _bury(self, child: Child, status: int, now: float) -> None:
        assert child.process is not None
        guarded.ask_to_stop(child.process)  # closes our end of its stdin
        child.process = None
        child.status = status
        if status < 0:
            self._kill_strays()
        if self._is_stopping or not child.is_restarted:
            return
        if now - child.started_at >= HEALTHY_AFTER_S:
            child.delay_s = FIRST_DELAY_S
        self._schedule(child, f"ended with status {status}", now)

    def _schedule(self, child: Child, what: str, now: float) -> None:
        self._output.say(f"{child.name} {what}; starting it again in {child.delay_s:g} s")
        child.restart_at = now + child.delay_s
        child.delay_s = min(child.delay_s * 2, LONGEST_DELAY_S)

    def _kill_strays(self) -> None:
        """Kill what a killed guard left; as subreaper we are its parent now."""
        deadline = time.monotonic() + 2
        known = {child.process.pid for child in self._children() if child.process is not None}
        while strays := set(guard.find_children().get(os.getpid(), [])) - known:
            for pid in strays:
                guard.kill_tree(pid)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > deadline:
                self._output.say(f"processes {sorted(strays)} do not end")
                return
            time.sleep(0.005)

    def _stop_all(self) -> None:
        self._is_stopping = True
        if self._groups:
            self._output.say("stopping in order; a second Ctrl-C kills what is left")
        for child in self._children():
            child.restart_at = None
        kill_at = time.monotonic() + STOP_WITHIN_S
        for group in reversed(self._groups):
            for child in group:
                if child.process is not None:
                    guarded.ask_to_stop(child.process)
            while any(child.process is not None for child in group):
                left_s = kill_at - time.monotonic()
                if self.was_killed or left_s <= 0:
                    guard.kill_tree(os.getpid())
                self._turn(min(TURN_S, max(left_s, KILL_TURN_S)))
        self._kill_strays()
        self._drain()

    def _drain(self) -> None:
        """Pass on the last lines. A pipe holds no more than one read takes; the second read finds its end."""
        for reader in [key.data for key in self._selector.get_map().values() if key.data is not None] * 2:
            if not reader.is_at_end:
                self._forward(reader)

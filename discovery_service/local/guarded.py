"""Starts programs below a guard process and stops them; the starter's side of `guard.py`."""

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from discovery_service.local import guard

TAIL_BYTES = 4096


class ProgramFailed(Exception):
    """A program of the local stack ended, or did not get ready, when it should have."""


@dataclass(frozen=True)
class Program:
    """What a guard runs, as whom and where, and how it is asked to stop."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    user: str | None = None
    directory: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 3.0


def spawn(program: Program, output: IO[bytes] | int, hold_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start the program below a guard of its own. The process returned is the guard; it ends as its program ends.

    Closing its stdin stops the program. The guard holds `hold_fds` open for as long as it lives.
    """
    options = [f"--stop-signal={program.stop_signal.name}", f"--grace={program.grace_s}"]
    if program.user is not None:
        options.append(f"--user={program.user}")
    if program.directory is not None:
        options.append(f"--chdir={program.directory}")
    return subprocess.Popen(  # noqa: S603 - the command is ours
        [sys.executable, "-I", "-S", guard.__file__, *options, "--", *program.argv],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(program.env),
        pass_fds=hold_fds,
        start_new_session=True,
    )


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def stop(process: subprocess.Popen[bytes], program: Program) -> None:
    """Stop the program and wait until it and everything below it is gone."""
    ask_to_stop(process)
    try:
        process.wait(program.grace_s + 3)
    except subprocess.TimeoutExpired:
        guard.kill_tree(process.pid)
        process.wait()


def run(program: Program) -> None:
    """Run the program to its end; ProgramFailed with its last lines unless it ends well."""
    with tempfile.NamedTemporaryFile(prefix=f"{program.name}.") as output:
        process = spawn(program, output.fileno())
        try:
            status = process.wait()
        finally:
            stop(process, program)
        if status != 0:
            raise ProgramFailed(f"{program.name} ended with status {status}:\n{tail(Path(output.name))}")


@contextlib.contextmanager
def running(program: Program, is_ready: Callable[[], bool], log: Path, deadline_s: float) -> Iterator[None]:
    """Run the program for as long as the block does, from the moment it is ready; its output goes to `log`.

    ProgramFailed with the log's end when it ends before, or is not ready in time.
    """
    with log.open("wb") as output:
        process = spawn(program, output)
    deadline = time.monotonic() + deadline_s
    try:
        while not is_ready():
            if process.poll() is not None:
                raise ProgramFailed(f"{program.name} ended with status {process.returncode}:\n{tail(log)}")
            if time.monotonic() > deadline:
                raise ProgramFailed(f"{program.name} was not ready after {deadline_s:g} s:\n{tail(log)}")
            time.sleep(0.02)
        yield
    finally:
        stop(process, program)


def tail(log: Path) -> str:
    return log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()

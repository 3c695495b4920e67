"""The local stack as a process of this command's own, started and stopped with it."""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

import typer

from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import say
from discovery_service.client import DiscoveryError

START_DEADLINE_S = 120.0
# The stack itself takes less than 5 s.
STOP_DEADLINE_S = 15.0
LAST_LINES = 30


class OwnStack:
    """`discovery up` as a process of its own. On leaving it is stopped; its last lines are told if anything failed."""

    def __init__(self, data_dir: Path, port: int) -> None:
        command = (sys.executable, "-m", "discovery_service.cli", "up", "--data", str(data_dir), "--port", str(port))
        # Through a pipe, because a stack that nobody listens to any more stops by itself.
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._reader = Thread(target=self._lines.extend, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self._stop()
        if isinstance(error, DiscoveryError):
            self._tell_lines("The local stack did not do what it was asked")
        elif error is None and code != 0:
            self._tell_lines(f"The local stack ended with code {code}")
            raise typer.Exit(ExitCode.ERROR)

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while not is_ready():
            code = self._process.poll()
            if code is None and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            self._stop()
            self._tell_lines("The local stack is not ready" if code is None else "The local stack has ended")
            raise typer.Exit(ExitCode.USAGE if code == ExitCode.USAGE else ExitCode.ERROR)

    def _stop(self) -> int:
        self._process.terminate()
        try:
            self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()
        return self._process.wait()

    def _tell_lines(self, what: str) -> None:
        say(f"{what}. Its last lines:\n{''.join(self._lines)}")

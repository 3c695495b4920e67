"""One zygote process: started, asked for children, ended. It tells what a child did, not whose fault that was."""

import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Self

from workers.jail.messages import KILL, MESSAGE_BYTES, Ended, Hello, Order
from workers.supervisor.pipes import Pipes

COMMAND = (sys.executable, "-I", "-m", "workers.jail.zygote")

# Nothing of ours: a child may look at it. The libraries take the number of their threads from it when they load.
ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "HOME": "/",
    "USER": "jail",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Each child's log is bounded, and a warning of torch's C++ part a batch would fill it.
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    # Memory in huge pages where the kernel has them: fork and exit take 9 ms instead of 14.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # Importing torch makes this directory; one in /tmp otherwise.
    "TORCHINDUCTOR_CACHE_DIR": "/",
}

# It takes some seconds; far more on a busy machine that reads torch from a cold disk.
START_WITHIN_S = 120.0
# The zygote itself ends a child at its wall time. When it has not said so by then, it is the zygote that hangs.
GRACE_S = 10.0
STOP_WITHIN_S = 5.0
LAST_WORDS_S = 1.0
_MOST_ERRORS = 2_000


class ZygoteLost(Exception):
    """It did not start, ended, or does not answer: never a candidate's doing."""


@dataclass(frozen=True)
class Child:
    """What a child left."""

    ended: Ended
    result: bytes
    log: bytes
    has_flooded: bool
    """It wrote more than it may, and was killed for it."""


class Zygote:
    """A context: on leaving it, the process and its child are gone."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # The kernel ends the zygote with the thread that started it, so that one gets to live as long.
            keeper = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="zygote-keeper"))
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(self._control)
            with theirs:
                self._process = keeper.submit(self._start, theirs.fileno()).result()
            stack.callback(self._stop)
            self.hello = self._greet()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, order: Order, request: bytes) -> Child:
        """Have a child do a job, and return however it ended. Raises ZygoteLost."""
        with Pipes(request) as pipes:
            try:
                socket.send_fds(self._control, [order.encode()], [each.fileno() for each in pipes.theirs])
            except OSError as error:
                raise self._lost("has ended") from error
            pipes.give_away()
            ended = self._converse(pipes, time.monotonic() + order.wall_s + GRACE_S)
            pipes.result.drain()
            pipes.log.drain()
            return Child(ended, pipes.result.text, pipes.log.text, pipes.is_flooded)

    def _converse(self, pipes: Pipes, deadline: float) -> Ended:
        """Write and read as the child does, until the zygote says that it has ended."""
        readers = {each.pipe: each for each in (pipes.result, pipes.log)}
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(pipes.request, selectors.EVENT_WRITE)
            for pipe in readers:
                selector.register(pipe, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select(max(0.0, deadline - time.monotonic()))]
                if not ready and time.monotonic() >= deadline:
                    raise self._lost("does not answer")
                if self._control in ready:
                    return Ended.decode(self._receive())
                if pipes.request in ready and pipes.write():
                    selector.unregister(pipes.request)
                    pipes.request.close()
                for pipe in readers.keys() & set(ready):
                    readers[pipe].read()
                    if readers[pipe].has_ended:
                        selector.unregister(pipe)
                if pipes.is_flooded:
                    self._control.send(KILL)
                    return Ended.decode(self._receive_by(deadline))

    def _start(self, control: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603 - our own command
            [*self._command, str(control), str(os.getpid())],
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            pass_fds=[control],
            start_new_session=True,  # so that Ctrl-C reaches only us
        )

    def _greet(self) -> Hello:
        hello = Hello.decode(self._receive_by(time.monotonic() + START_WITHIN_S))
        if hello.failure is not None:
            raise ZygoteLost(f"the zygote cannot warm up: {hello.failure}")
        return hello

    def _receive_by(self, deadline: float) -> bytes:
        self._control.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            return self._receive()
        finally:
            self._control.settimeout(None)

    def _receive(self) -> bytes:
        try:
            message = self._control.recv(MESSAGE_BYTES)
        except TimeoutError as error:
            raise self._lost("does not answer") from error
        except OSError as error:
            raise self._lost("has ended") from error
        if not message:
            raise self._lost("has ended")
        return message

    def _lost(self, how: str) -> ZygoteLost:
        """With the last thing that it said: there an interpreter tells why it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_WORDS_S)
        self._errors.seek(0)
        lines = self._errors.read()[-_MOST_ERRORS:].decode(errors="replace").strip().splitlines()
        return ZygoteLost(f"the zygote {how}" + (f": {lines[-1]}" if lines else ""))

    def _stop(self) -> None:
        """Without its parent's end of the socket it ends by itself; a moment later by force."""
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_WITHIN_S)
            return
        self._process.kill()
        self._process.wait()

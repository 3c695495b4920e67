"""A whole local stack as a process of its own, with stand-ins for the services unless a test wants the real ones."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from discovery_service.local import guard
from tests.local.processes import command, find_processes
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("api", "beat", "recorded", "propose", "gate", "evaluate")
CHILDREN = ("postgres", "redis", *SERVICES)


class Stack:
    """`discovery up` on a data directory; its lines are collected as they come."""

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        python: Sequence[str] = (sys.executable,),
        module: Sequence[str] = ("tests.local.up",),
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
        stdout: int = subprocess.PIPE,
    ) -> None:
        self.data_dir = data_dir
        self.lines: list[str] = []
        inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        self.process = subprocess.Popen(
            [*python, "-m", *module, "--data", str(data_dir), *options],
            cwd=REPOSITORY,
            env=inherited | {"HOME": str(data_dir.parent)} | dict(environment or {}),
            stdout=stdout,
            stderr=subprocess.PIPE,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.decode().rstrip())

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def wait_ready(self) -> "Stack":
        wait_until(lambda: self.has_said("discovery | ready at") or self.process.poll() is not None)
        assert self.process.poll() is None, self.end()
        return self

    def end(self) -> tuple[int, str]:
        """Wait until it has ended by itself; its exit status and what it told on stderr."""
        assert self.process.stderr is not None
        errors = self.process.stderr.read().decode()
        status = self.process.wait()
        self._reader.join()
        return status, errors

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def kill(self) -> None:
        """`kill -9` of the supervisor."""
        self.process.kill()
        self.end()

    def guard_of(self, name: str) -> int | None:
        """The guard of a child, by the child's name."""
        for pid in guard.find_children().get(self.process.pid, []):
            words = command(pid)
            program = words[words.index("--") + 1 :] if "--" in words else []
            if name in program or (program and Path(program[0]).name in (name, f"{name}-server")):
                return pid
        return None

    def program_of(self, name: str) -> int | None:
        """The child itself, by its name."""
        guard_pid = self.guard_of(name)
        children = guard.find_children().get(guard_pid, []) if guard_pid is not None else []
        return children[0] if children else None

    def environment_of(self, name: str) -> dict[str, str]:
        """What a service was given, as soon as it has noted it."""
        file = self.data_dir / f"{name}.environment"
        wait_until(file.exists)
        return dict(json.loads(file.read_text()))

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        """A statement as the owner of the stack's database."""
        url = f"postgresql://discovery@/discovery?host={self.data_dir}/postgres&port=5432"
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def try_sql(self, statement: str) -> list[tuple[object, ...]] | None:
        """The same; None while the database lets nobody in."""
        try:
            return self.sql(statement)
        except psycopg.OperationalError:
            return None


def _is_gone(data_dir: Path) -> bool:
    return not find_processes(data_dir)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """pytest's own is too long for a socket where TMPDIR is long; this one is open to its owner alone as well."""
    with TemporaryDirectory(prefix="d.") as directory:
        yield Path(directory)


StartStack = Callable[..., Stack]


@contextmanager
def _starting(data_dir: Path) -> Iterator[StartStack]:
    stacks: list[Stack] = []

    def start(*options: str, data_dir: Path = data_dir, **how: object) -> Stack:
        stacks.append(Stack(data_dir, *options, **how))  # type: ignore[arg-type]
        return stacks[-1]

    try:
        yield start
    finally:
        for stack in stacks:
            if stack.process.poll() is None:
                stack.kill()
        for stack in stacks:
            wait_until(partial(_is_gone, stack.data_dir))


@pytest.fixture
def start_stack(tmp_path: Path) -> Iterator[StartStack]:
    """Starts stacks, by default on `tmp_path`/data; none is left when the test ends."""
    with _starting(tmp_path / "data") as start:
        yield start


@pytest.fixture(scope="module")
def running_stack() -> Iterator[Stack]:
    """A stack that is up, under nohup, for tests that leave it so."""
    with TemporaryDirectory(prefix="d.") as directory, _starting(Path(directory)) as start:
        yield start(python=("nohup", sys.executable)).wait_ready()

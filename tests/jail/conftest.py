"""Jails with the job `unchecked` (see entry.py): a bare one that starts at once, and a warm one with torch.

The one of production, which has no such job, is of tests/conftest.py.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from discovery_service.domain.isolation import Level
from workers.supervisor.jail import Jail, Outcome

HERE = Path(__file__).parent
OUR_SECRET = "DISCOVERY_CANARY"


def zygote_command(kind: str = "bare", *, without: str | None = None) -> tuple[str, ...]:
    command = (sys.executable, "-I", str(HERE / "entry.py"), kind)
    return command if without is None else (sys.executable, "-I", str(HERE / "outer.py"), without, *command)


def run_source(jail: Jail, source: str, **limits: float) -> Outcome:
    return jail.run("unchecked", {"source": source}, **limits)  # type: ignore[arg-type]


@pytest.fixture(scope="session", autouse=True)
def secret() -> Iterator[None]:
    """What a worker has in its environment, and no child may find."""
    os.environ[OUR_SECRET] = "an API key"
    yield
    del os.environ[OUR_SECRET]


@pytest.fixture(scope="session")
def jail() -> Iterator[Jail]:
    """For tests that leave it as they found it."""
    with Jail(Level.FULL, zygote_command()) as opened:
        yield opened


@pytest.fixture
def own_jail() -> Iterator[Jail]:
    """For what ends its zygote, or changes it."""
    with Jail(command=zygote_command()) as opened:
        yield opened


@pytest.fixture(scope="session")
def warm_jail() -> Iterator[Jail]:
    with Jail(Level.FULL, zygote_command("warm")) as opened:
        yield opened

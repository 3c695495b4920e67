from collections.abc import Iterator

import pytest

from tests.compare.slots import LIMITS, Recording
from workers.slots import Slots
from workers.supervisor.devices import CPU


@pytest.fixture(scope="module")
def toy_slots() -> Iterator[tuple[Slots, Recording]]:
    """One, which starts once for all tests of a module."""
    runtime = Recording([])
    slots = Slots([CPU], [runtime], LIMITS)
    yield slots, runtime
    slots.close()

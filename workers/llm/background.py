"""Runs a call beside the thread that waits for it, so that the wait can end at any moment.

One event loop in a thread of its own serves all calls of the process. A call that is given up is cancelled there, which
closes its connection; the thread that asked does not wait for that, since a name server may hold it up for long.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import wait
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")

# How late a cancellation may be seen; an event cannot be waited for together with a future.
LOOK_EVERY_S = 0.1


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="llm", daemon=True).start()
    return loop


def run_until(work: Coroutine[Any, Any, T], cancelled: threading.Event) -> T | None:
    """What the work returns; None when `cancelled` was set before."""
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    while not wait([future], LOOK_EVERY_S).done:
        if cancelled.is_set():
            future.cancel()
            return None
    return future.result()

"""Turns at language models: how many calls of one this process makes at once, and who waits, without a waiting thread.

So a slow model, or one that takes few calls, keeps no thread from the questions to others; and what waits is held by
nobody: another worker may take it, and a pause or a cancellation finds nothing begun.
"""

import threading
from collections import Counter, defaultdict
from uuid import UUID


class Turns:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._waiting: defaultdict[str, dict[UUID, None]] = defaultdict(dict)

    def take(self, name: str, at_once: int, row_id: UUID) -> bool:
        """False: all are taken. Whoever gives one back is told of this row."""
        with self._lock:
            if self._taken[name] >= at_once:
                self._waiting[name][row_id] = None
                return False
            self._taken[name] += 1
            return True

    def give_back(self, name: str) -> list[UUID]:
        """All who have waited, in their order: who takes the turn is open, for other workers have some too."""
        with self._lock:
            self._taken[name] -= 1
            return list(self._waiting.pop(name, {}))

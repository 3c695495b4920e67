"""Keeps the lease of a claim while its work is done, and tells the work when to stop or to begin nothing more."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from discovery_service.db.sessions import Sessions, limit_statements
from discovery_service.engine.claim import LEASE, Claim, renew

log = structlog.get_logger(__name__)

# A third of the lease would do for the lease; but the same statement tells of what is to be seen within 2 s.
RENEW_EVERY_S = 1.5
RENEWAL_TIMEOUT_S = 5.0
# A renewal that hangs is fenced by its attempt; the work's end does not have to wait for it.
JOIN_TIMEOUT_S = 1.0


class Heartbeat:
    """`lost`: somebody else may hold the work by now. `cancel_requested`: a user wants it stopped. `stop`: either.

    `hold`: that, or its campaign was paused: no part of the work begins any more, and what has begun may finish.
    """

    def __init__(self, sessions: Sessions, held: Claim, lease: timedelta) -> None:
        self.lost = threading.Event()
        self.cancel_requested = threading.Event()
        self.stop = threading.Event()
        self.hold = threading.Event()
        self._sessions = sessions
        self._held = held
        self._ended = threading.Event()
        self._lease_s = lease.total_seconds()
        self._renewed_at = time.monotonic()

    def run(self) -> None:
        """Renew until the work ends or is lost."""
        try:
            while not self.lost.is_set() and not self._ended.wait(RENEW_EVERY_S):
                asked_at = time.monotonic()
                if self._renew():
                    self._renewed_at = asked_at
        except BaseException:
            self._lose()
            raise

    def watch(self) -> None:
        """Tell that the work is lost once nothing renewed the lease in time, also while a renewal hangs."""
        while (left_s := self._renewed_at + self._lease_s - time.monotonic()) > 0:
            if self._ended.wait(left_s):
                return
        if not self.lost.is_set():
            log.warning("heartbeat.lapsed", kind=self._held.kind.name, id=str(self._held.id))
            self._lose()

    def end(self) -> None:
        self._ended.set()

    def _renew(self) -> bool:
        """Whether the database answered; one that is away may come back before the lease lapses."""
        try:
            with self._sessions.begin() as session:
                limit_statements(session, RENEWAL_TIMEOUT_S)
                renewal = renew(session, self._held)
        except SQLAlchemyError as error:
            log.warning("heartbeat.missed", kind=self._held.kind.name, id=str(self._held.id), error=str(error))
            return False
        if not renewal.is_held:
            log.info("heartbeat.lost", kind=self._held.kind.name, id=str(self._held.id), attempt=self._held.attempt)
            self._lose()
        if renewal.cancel_requested:
            self.cancel_requested.set()
            self._stop()
        if renewal.is_paused:
            self.hold.set()
        return True

    def _lose(self) -> None:
        self.lost.set()
        self._stop()

    def _stop(self) -> None:
        """In this order: whoever holds on can tell why."""
        self.stop.set()
        self.hold.set()


@contextmanager
def heartbeat(sessions: Sessions, held: Claim, lease: timedelta = LEASE) -> Iterator[Heartbeat]:
    """Renew the lease while the block runs; one thread asks the database, another one only looks at the clock."""
    beating = Heartbeat(sessions, held, lease)
    threads = [
        threading.Thread(target=target, name=f"heartbeat-{held.id}", daemon=True)
        for target in (beating.run, beating.watch)
    ]
    for thread in threads:
        thread.start()
    try:
        yield beating
    finally:
        beating.end()
        for thread in threads:
            thread.join(JOIN_TIMEOUT_S)

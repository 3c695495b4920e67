"""Keeps the lease of a claim while its work is done, and tells the work when to stop."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from discovery_service.db.sessions import Sessions
from discovery_service.engine.claim import LEASE, Claim, renew

log = structlog.get_logger(__name__)

# A third of the lease would do for the lease; but the same statement tells of a cancellation, to be seen within 2 s.
RENEW_EVERY_S = 1.5


class Heartbeat:
    """`lost`: somebody else may hold the work by now. `cancel_requested`: a user wants it stopped."""

    def __init__(self, sessions: Sessions, held: Claim) -> None:
        self.lost = threading.Event()
        self.cancel_requested = threading.Event()
        self._sessions = sessions
        self._held = held
        self._ended = threading.Event()

    def run(self) -> None:
        """Renew until the work ends or is lost."""
        renewed_at = time.monotonic()
        try:
            while not self.lost.is_set() and not self._ended.wait(RENEW_EVERY_S):
                asked_at = time.monotonic()
                if self._renew():
                    renewed_at = asked_at
                elif time.monotonic() - renewed_at > LEASE.total_seconds():
                    self.lost.set()
        except BaseException:
            self.lost.set()
            raise

    def end(self) -> None:
        self._ended.set()

    def _renew(self) -> bool:
        """Whether the database answered; one that is away may come back before the lease lapses."""
        try:
            with self._sessions.begin() as session:
                renewal = renew(session, self._held)
        except SQLAlchemyError as error:
            log.warning("heartbeat.missed", kind=self._held.kind.name, id=str(self._held.id), error=str(error))
            return False
        if not renewal.is_held:
            log.info("heartbeat.lost", kind=self._held.kind.name, id=str(self._held.id), attempt=self._held.attempt)
            self.lost.set()
        if renewal.cancel_requested:
            self.cancel_requested.set()
        return True


@contextmanager
def heartbeat(sessions: Sessions, held: Claim) -> Iterator[Heartbeat]:
    """Renew the lease in a thread of its own while the block runs."""
    beating = Heartbeat(sessions, held)
    thread = threading.Thread(target=beating.run, name=f"heartbeat-{held.id}", daemon=True)
    thread.start()
    try:
        yield beating
    finally:
        beating.end()
        thread.join()

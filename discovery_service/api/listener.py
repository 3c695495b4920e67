"""One LISTENing connection a process that wakes everybody who waits for a campaign's events or for a check."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from discovery_service.db.sessions import NOTICE_DEAD_SERVERS
from discovery_service.engine.checks import CHECK_CHANNEL
from discovery_service.engine.events import CHANNEL

log = structlog.get_logger(__name__)

RECONNECT_AFTER_S = 1.0
CHECK_EVERY_S = 10.0


class Listener:
    def __init__(self, url: str) -> None:
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._conninfo = make_conninfo(plain, **NOTICE_DEAD_SERVERS)
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def subscription(self, subject_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the subject may have news; the reader clears it before it looks."""
        key, news = str(subject_id), asyncio.Event()
        self._waiting[key].add(news)
        try:
            yield news
        finally:
            self._waiting[key].discard(news)
            if not self._waiting[key]:
                del self._waiting[key]

    async def run(self) -> None:
        """Listen until cancelled. After a lost connection everybody is woken, for news may have been missed."""
        while True:
            try:
                await self._listen()
            except (psycopg.OperationalError, TimeoutError) as error:
                log.warning("listener.connection_lost", error=str(error).strip())
                await asyncio.sleep(RECONNECT_AFTER_S)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        async with connection:
            for channel in (CHANNEL, CHECK_CHANNEL):
                await connection.execute(f"LISTEN {channel}")
            self._wake(list(self._waiting))
            while True:
                async for notice in connection.notifies(timeout=CHECK_EVERY_S):
                    self._wake([notice.payload])
                # A connection that was cut without a word is found out only by using it.
                async with asyncio.timeout(CHECK_EVERY_S):
                    await connection.execute("SELECT 1")

    def _wake(self, keys: list[str]) -> None:
        for key in keys:
            for news in self._waiting.get(key, ()):
                news.set()

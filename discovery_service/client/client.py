"""The client of one service, under one API key."""

from types import TracebackType
from typing import Self

from discovery_service.client.resources import (
    Arenas,
    Campaigns,
    Candidates,
    Evaluations,
    Events,
    Keys,
    Leaderboards,
    Losses,
    Service,
    Workers,
)
from discovery_service.client.rounds import Proposals, Rounds
from discovery_service.client.transport import Transport


class Client:
    """Synchronous; a context manager that closes its connections.

    What is safe to send twice is tried again when the service is away, busy or over its rate: at most `max_retries`
    times, with growing delays and never before the service's own `Retry-After`.
    """

    def __init__(self, base_url: str, api_key: str, *, timeout_s: float = 30.0, max_retries: int = 3) -> None:
        self._transport = Transport(base_url, api_key, timeout_s=timeout_s, max_retries=max_retries)
        self.events = Events(self._transport)
        self.campaigns = Campaigns(self._transport, self.events)
        self.rounds = Rounds(self._transport)
        self.proposals = Proposals(self._transport)
        self.losses = Losses(self._transport)
        self.arenas = Arenas(self._transport)
        self.candidates = Candidates(self._transport)
        self.evaluations = Evaluations(self._transport)
        self.leaderboard = Leaderboards(self._transport)
        self.workers = Workers(self._transport)
        self.keys = Keys(self._transport)
        self.service = Service(self._transport)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

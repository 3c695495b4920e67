"""What the running API holds for the length of its life, reachable from every request."""

import asyncio
from dataclasses import dataclass, field

from anyio import CapacityLimiter
from starlette.requests import HTTPConnection

from discovery_service.api.listener import Listener
from discovery_service.api.rate import CreationRate
from discovery_service.db.sessions import Sessions
from discovery_service.engine.dispatch import Bell
from discovery_service.settings import Settings


@dataclass(frozen=True)
class ApiState:
    settings: Settings
    key_secret: str
    sessions: Sessions
    places: asyncio.Semaphore
    """As many as the sessions have connections; whoever uses one takes a place first."""
    stream_sessions: Sessions
    """For the streams' looks, so that many open streams take no connection from requests."""
    stream_threads: CapacityLimiter
    bell: Bell
    listener: Listener
    creation_rate: CreationRate
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the stop signal: open streams end, which uvicorn otherwise waits for."""


def state_of(connection: HTTPConnection) -> ApiState:
    state = connection.app.state.api
    assert isinstance(state, ApiState)
    return state

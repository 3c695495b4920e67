"""A client of a real API."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from discovery_service.api import create_app
from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.domain.access import Scope
from tests.api.serving import api_settings, make_key, serving
from tests.conftest import Database


@pytest.fixture
def app(database: Database, redis_url: str) -> FastAPI:
    return create_app(api_settings(database.service_url, redis_url))


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    with serving(app) as served:
        yield served


@pytest.fixture
def token(sessions: Sessions) -> str:
    return make_key(sessions, Scope.ADMIN)


@pytest.fixture
def client(url: str, token: str) -> Iterator[Client]:
    with Client(url, token) as made:
        yield made


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have waited between tries, in seconds; it does not."""
    waited: list[float] = []
    monkeypatch.setattr("discovery_service.client.transport.sleep", waited.append)
    return waited

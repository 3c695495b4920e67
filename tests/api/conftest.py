"""An API of the test's own, and clients with keys of several scopes."""

import socket
from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI

from discovery_service.api import create_app
from discovery_service.db.sessions import Sessions
from discovery_service.domain.access import Scope
from tests.api.serving import api_settings, client_of, make_key, serving
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
def api(url: str, token: str) -> Iterator[httpx2.Client]:
    with client_of(url, token) as client:
        yield client


@pytest.fixture
def anonymous(url: str) -> Iterator[httpx2.Client]:
    with client_of(url, None) as client:
        yield client


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port

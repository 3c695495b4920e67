"""The pages of an API of the test's own, as a browser sees them."""

from collections.abc import Iterator

import httpx2
import pytest

from discovery_service.db.sessions import Sessions
from discovery_service.domain.access import Scope
from tests.api.conftest import app, token, url
from tests.api.serving import make_key

__all__ = ["app", "token", "url"]


@pytest.fixture
def stranger(url: str) -> Iterator[httpx2.Client]:
    """Without a cookie."""
    with httpx2.Client(base_url=url) as client:
        yield client


@pytest.fixture
def browser(url: str, sessions: Sessions) -> Iterator[httpx2.Client]:
    """That has brought a key which may read."""
    key = make_key(sessions, Scope.CAMPAIGNS_READ, Scope.EXPORTS_READ)
    with httpx2.Client(base_url=url) as client:
        assert client.post("/enter", data={"key": key, "to": "/"}).status_code == 303
        yield client

"""The real API under the real server, in a thread of the test's own process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from discovery_service.api import create_app
from discovery_service.api.server import Server
from discovery_service.db.sessions import Sessions
from discovery_service.domain.access import Scope
from discovery_service.engine.keys import create_key
from discovery_service.settings import ApiSettings, DbSettings, RedisSettings, Settings

KEY_SECRET = "a secret of the tests"


def api_settings(service_url: str, redis_url: str, **api: Any) -> Settings:
    return Settings(
        db=DbSettings(url=SecretStr(service_url)),
        redis=RedisSettings(url=SecretStr(redis_url)),
        api=ApiSettings(key_secret=SecretStr(KEY_SECRET), **{"creations_per_minute": 100_000, **api}),
    )


def make_key(sessions: Sessions, *scopes: Scope) -> str:
    """The token of a fresh key with these scopes."""
    with sessions.begin() as session:
        _, token = create_key(session, name="test", scopes=list(scopes), secret=KEY_SECRET)
    return token


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The URL at which the app is served."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False)
    server = Server(config, app.state.api)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended before it was up"
            thread.join(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        app.state.api.stopping.set()
        server.should_exit = True
        thread.join(10)


def client_of(url: str, token: str | None) -> httpx2.Client:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=url, headers=headers, timeout=10)


__all__ = ["api_settings", "client_of", "create_app", "make_key", "serving"]

"""What the SDK sends again and what it never does, when answers fail or get lost."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from discovery_service.api import create_app
from discovery_service.client import (
    ApiError,
    Client,
    ConnectionFailed,
    NotFound,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
)
from tests.api.serving import api_settings, serving
from tests.conftest import Database

SPEC = {"arena": "panel:mini"}


class Refusing:
    """Answers the first requests itself, with a status, as a proxy does while the service is away."""

    def __init__(self, app: ASGIApp, times: int, headers: dict[str, str]) -> None:
        self.app, self.times, self.headers = app, times, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.times == 0:
            await self.app(scope, receive, send)
            return
        self.times -= 1
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b"<h1>away</h1>"})


class Losing:
    """Lets one request, by default the first, do its work, then cuts the connection before the answer is through."""

    def __init__(self, app: ASGIApp, number: int = 1) -> None:
        self.app, self.number, self.requests = app, number, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.requests += 1
        is_cut = scope["type"] == "http" and self.requests == self.number

        async def cut(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A 204 has no body that could be missing.
                await send({**message, "status": 200, "headers": [(b"content-length", b"1")]})

        await self.app(scope, receive, cut if is_cut else send)


def test_a_service_that_is_away_for_a_moment_is_asked_again(app: FastAPI, token: str, sleeps: list[float]) -> None:
    app.add_middleware(Refusing, times=3, headers={})
    with serving(app) as url, Client(url, token) as client:
        client.campaigns.create(name="x", spec=SPEC)
        assert len(list(client.campaigns.list())) == 1
    assert sleeps == sorted(sleeps)
    assert len(sleeps) == 3


def test_who_stays_away_is_told_with_the_status(app: FastAPI, token: str, sleeps: list[float]) -> None:
    app.add_middleware(Refusing, times=9, headers={})
    with serving(app) as url, Client(url, token, max_retries=2) as client, pytest.raises(Unavailable) as away:
        list(client.campaigns.list())
    assert away.value.slug == "http_503"
    assert len(sleeps) == 2


def test_retry_after_is_waited_for(app: FastAPI, token: str, sleeps: list[float]) -> None:
    app.add_middleware(Refusing, times=1, headers={"Retry-After": "7"})
    with serving(app) as url, Client(url, token) as client:
        list(client.campaigns.list())
    assert sleeps == [7]


def test_a_wait_of_an_hour_is_the_callers_to_decide(app: FastAPI, token: str, sleeps: list[float]) -> None:
    app.add_middleware(Refusing, times=1, headers={"Retry-After": "3600"})
    with serving(app) as url, Client(url, token) as client, pytest.raises(Unavailable) as away:
        list(client.campaigns.list())
    assert away.value.retry_after_s == 3600
    assert sleeps == []


def test_the_rate_of_a_key_is_waited_for(database: Database, redis_url: str, token: str, sleeps: list[float]) -> None:
    app = create_app(api_settings(database.service_url, redis_url, creations_per_minute=1))
    with serving(app) as url, Client(url, token, max_retries=1) as client:
        client.campaigns.create(name="x", spec=SPEC)
        with pytest.raises(TooManyRequests):
            client.campaigns.create(name="x", spec=SPEC)
    assert len(sleeps) == 1
    assert 1 <= sleeps[0] <= 60


def test_a_lost_answer_makes_no_second_campaign(app: FastAPI, token: str, sleeps: list[float]) -> None:
    app.add_middleware(Losing)
    with serving(app) as url, Client(url, token) as client:
        made = client.campaigns.create(name="x", spec=SPEC)
        assert [each.id for each in client.campaigns.list()] == [made.id]
    assert len(sleeps) == 1


def test_a_deletion_whose_answer_was_lost_is_done_and_a_second_one_is_told(
    app: FastAPI, token: str, sleeps: list[float]
) -> None:
    app.add_middleware(Losing, number=2)
    with serving(app) as url, Client(url, token) as client:
        made = client.campaigns.create(name="x", spec=SPEC)
        client.campaigns.delete(made.id)
        assert len(sleeps) == 1
        with pytest.raises(NotFound):
            client.campaigns.delete(made.id)
    assert len(sleeps) == 1


def test_a_key_of_ones_own_holds_over_two_calls(client: Client) -> None:
    first = client.campaigns.create(name="x", spec=SPEC, idempotency_key="mine")
    assert client.campaigns.create(name="x", spec=SPEC, idempotency_key="mine").id == first.id
    assert client.campaigns.clone(first.id, idempotency_key="k") == client.campaigns.clone(
        first.id, idempotency_key="k"
    )


def test_a_key_whose_answer_was_lost_is_not_made_again(app: FastAPI, token: str, sleeps: list[float]) -> None:
    app.add_middleware(Losing)
    with serving(app) as url, Client(url, token) as client:
        with pytest.raises(ConnectionFailed, match=url):
            client.keys.create(name="lost", scopes=["admin"])
        assert [each.name for each in client.keys.list()].count("lost") == 1
    assert sleeps == []


def test_no_connection_is_an_error_that_names_the_url(sleeps: list[float]) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        with Client(url, "dls_none") as client, pytest.raises(ConnectionFailed, match=url):
            client.service.health()
    assert len(sleeps) == 3


@contextmanager
def stranger(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """A server that has nothing to do with us."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_what_cannot_be_unpacked_is_an_error_of_this_package(sleeps: list[float]) -> None:
    with (
        stranger(200, b"no gzip", Content_Encoding="gzip") as url,
        Client(url, "dls_none") as client,
        pytest.raises(ConnectionFailed, match=url),
    ):
        client.service.health()


def test_another_server_is_not_taken_for_ours(client: Client) -> None:
    with stranger(200, b"<h1>hello</h1>") as url, Client(url, "dls_none") as client:
        with pytest.raises(UnexpectedAnswer, match="right URL"):
            client.service.health()
        with pytest.raises(UnexpectedAnswer, match="event-stream"):
            next(client.events.stream("019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"))
    with (
        stranger(302, b"elsewhere") as url,
        Client(url, "dls_none") as client,
        pytest.raises(ApiError, match="302 Found"),
    ):
        list(client.campaigns.list())


@pytest.mark.parametrize("url", ["localhost:8020", "http://[::1", "http://host:port"])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="no URL"):
        Client(url, "dls_none")


@pytest.mark.parametrize("key", ["dls_a\nb", "schlüssel"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="Copy it again") as refused:
        Client("http://localhost", key)
    assert key not in str(refused.value)

"""The event stream of the SDK outlives the connection and the server."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event as Flag
from threading import Thread, Timer
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from discovery_service.client import Client, ConnectionFailed, Event, NotFound
from discovery_service.db.sessions import Sessions
from discovery_service.engine.campaigns import pause_campaign
from discovery_service.local.address import find_address
from tests.api.serving import serving
from tests.client.api_process import api_process
from tests.conftest import Database

SPEC = {"arena": "panel:mini"}


def test_a_stream_goes_on_where_it_was_after_the_server_was_restarted(
    database: Database, redis_url: str, sessions: Sessions, token: str
) -> None:
    address = find_address("127.0.0.1", 0)
    with Client(address.url, token) as client:
        with api_process(address, database.service_url, redis_url):
            campaign = client.campaigns.create(name="x", spec=SPEC)
            stream = client.events.stream(campaign.id)
            kinds = [next(stream).kind]
        with sessions.begin() as session:
            pause_campaign(session, campaign.id)
        done = Flag()
        # The stream asks for the next event before there is a server again.
        restarted = Thread(target=_serve_until, args=(done, address, database.service_url, redis_url))
        restarted.start()
        try:
            kinds.append(next(stream).kind)
            client.campaigns.cancel(campaign.id)
            kinds += [event.kind for event in islice(stream, 2)]
        finally:
            stream.close()
            done.set()
            restarted.join()
    assert [kind.removeprefix("campaign.") for kind in kinds] == ["created", "paused", "cancelling", "cancelled"]


def _serve_until(done: Flag, *api: Any) -> None:
    with api_process(*api):
        done.wait()


@contextmanager
def cutting_relay(url: str, *, after_bytes: int) -> Iterator[str]:
    """A way to the server on which every connection is cut after so many bytes of answer, wherever that is."""
    port = int(url.rpartition(":")[2])

    class Relay(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as server:
                server.sendall(self.request.recv(65_536))
                left = after_bytes
                while left and (data := server.recv(left)):
                    self.request.sendall(data)
                    left -= len(data)

    with ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads = True  # the last connection ends with the server behind it
        Thread(target=relay.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{relay.server_address[1]}"
        finally:
            relay.shutdown()


def pause_and_resume(client: Client, campaign_id: UUID, *, times: int) -> list[Event]:
    for _ in range(times):
        client.campaigns.pause(campaign_id)
        client.campaigns.resume(campaign_id)
    return list(client.events.list(campaign_id))


def test_no_event_is_lost_or_told_twice_when_connections_are_cut(client: Client, url: str, token: str) -> None:
    campaign = client.campaigns.create(name="x", spec=SPEC)
    listed = pause_and_resume(client, campaign.id, times=3)
    # Head and two events; the cut is in the middle of the third.
    with (
        cutting_relay(url, after_bytes=1000) as relayed,
        Client(relayed, token) as cut,
        closing(cut.events.stream(campaign.id)) as stream,
    ):
        streamed = list(islice(stream, len(listed)))
    assert streamed == listed
    assert len(listed) == 7


def test_a_stream_that_the_server_ends_is_opened_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discovery_service.api.routes.events.STREAM_ENDS_AFTER_S", 0.05)
    campaign = client.campaigns.create(name="x", spec=SPEC)
    pausing = Timer(0.5, client.campaigns.pause, [campaign.id])
    pausing.start()
    with closing(client.events.stream(campaign.id)) as stream:
        assert [event.kind for event in islice(stream, 2)] == ["campaign.created", "campaign.paused"]
    pausing.join()


def test_a_server_that_does_not_come_back_ends_the_stream(app: FastAPI, token: str, sleeps: list[float]) -> None:
    with Client("http://127.0.0.1:1", token) as nowhere, pytest.raises(ConnectionFailed):
        next(nowhere.events.stream("019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"))
    with serving(app) as url:
        client = Client(url, token)
        stream = client.events.stream(client.campaigns.create(name="x", spec=SPEC).id)
        next(stream)
    with client, pytest.raises(ConnectionFailed, match=url):
        next(stream)
    assert sum(sleeps) > 30


def test_a_deleted_campaign_has_no_stream(client: Client) -> None:
    campaign = client.campaigns.create(name="x", spec=SPEC)
    client.campaigns.delete(campaign.id)
    with pytest.raises(NotFound):
        next(client.events.stream(campaign.id))

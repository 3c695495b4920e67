"""Events over HTTP: in order, resumable, woken at once, and never one skipped because it committed late."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from discovery_service.api.routes import events as events_module
from discovery_service.db.sessions import Sessions
from discovery_service.domain.access import Scope
from discovery_service.engine.events import record
from tests.api.serving import client_of, make_key
from tests.api.test_campaigns import create
from tests.conftest import Servers


@contextmanager
def stream(api: httpx2.Client, campaign_id: str, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    with api.stream("GET", f"/v1/campaigns/{campaign_id}/events/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in lines:
        if not line and event:
            yield event
            event = {}
        name, _, value = line.partition(": ")
        if name == "data":
            event["data"] = json.loads(value)
        elif name in ("event", "id"):
            event[name] = value


def test_the_stream_tells_the_past_and_then_what_happens(api: httpx2.Client) -> None:
    campaign_id = create(api)["id"]
    with stream(api, campaign_id) as events:
        assert next(events)["event"] == "campaign.created"
        api.post(f"/v1/campaigns/{campaign_id}/pause")
        paused = next(events)
    assert paused["event"] == "campaign.paused"
    assert paused["data"]["payload"] == {"from": "queued"}
    assert paused["id"] == paused["data"]["id"]


def test_the_stream_resumes_behind_the_last_event_seen(api: httpx2.Client) -> None:
    campaign_id = create(api)["id"]
    with stream(api, campaign_id) as events:
        seen = next(events)["id"]
    for command in ("pause", "resume"):
        api.post(f"/v1/campaigns/{campaign_id}/{command}")
    with stream(api, campaign_id, **{"Last-Event-ID": seen}) as events:
        assert [next(events)["event"] for _ in range(2)] == ["campaign.paused", "campaign.queued"]


def test_pages_and_stream_tell_the_same_events(api: httpx2.Client) -> None:
    campaign_id = create(api)["id"]
    for command in ("pause", "resume", "cancel"):
        api.post(f"/v1/campaigns/{campaign_id}/{command}")
    paged: list[str] = []
    page: dict[str, Any] = {"has_more": True, "next": None}
    while page["has_more"]:
        params = {"limit": 2} if page["next"] is None else {"limit": 2, "after": page["next"]}
        page = api.get(f"/v1/campaigns/{campaign_id}/events", params=params).json()
        paged += [event["id"] for event in page["data"]]
    with stream(api, campaign_id) as events:
        streamed = [next(events)["id"] for _ in paged]
    assert streamed == paged
    assert len(paged) == 5


def test_an_event_that_commits_late_is_not_skipped(api: httpx2.Client, sessions: Sessions) -> None:
    campaign_id = create(api)["id"]
    with stream(api, campaign_id) as events:
        next(events)
        late = sessions()
        record(late, campaign_id, "test.late")  # type: ignore[arg-type]
        late.flush()
        with sessions.begin() as early:
            record(early, campaign_id, "test.early")  # type: ignore[arg-type]
        listed = api.get(f"/v1/campaigns/{campaign_id}/events").json()["data"]
        assert [event["kind"] for event in listed] == ["campaign.created"]
        late.commit()
        late.close()
        assert [next(events)["event"] for _ in range(2)] == ["test.late", "test.early"]


def test_an_event_held_back_by_another_database_arrives_when_that_ends(api: httpx2.Client, servers: Servers) -> None:
    """The horizon is cluster-wide, and no NOTIFY tells that a foreign transaction has ended."""
    campaign_id = create(api)["id"]
    with stream(api, campaign_id) as events:
        next(events)
        with psycopg.connect(servers.owner_url) as foreign:
            foreign.execute("SELECT pg_current_xact_id()")
            api.post(f"/v1/campaigns/{campaign_id}/pause")
            listed = api.get(f"/v1/campaigns/{campaign_id}/events").json()["data"]
            assert [event["kind"] for event in listed] == ["campaign.created"]
        assert next(events)["event"] == "campaign.paused"


def test_a_stream_goes_on_after_its_listening_connection_was_cut(
    api: httpx2.Client, owner_sessions: Sessions, sessions: Sessions
) -> None:
    from sqlalchemy import text

    campaign_id = create(api)["id"]
    with stream(api, campaign_id) as events:
        next(events)
        with owner_sessions() as owner:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
            cut += " AND datname = current_database()"
            assert owner.scalars(text(cut)).all() == [True]
        with sessions.begin() as session:
            record(session, campaign_id, "test.after")  # type: ignore[arg-type]
        assert next(events)["event"] == "test.after"


def test_a_stream_ends_quietly_while_the_database_is_away(
    api: httpx2.Client, owner_sessions: Sessions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    campaign_id = create(api)["id"]
    monkeypatch.setattr(events_module, "LOOK_ANYWAY_S", 0.02)

    def break_off(*_: object) -> object:
        raise OperationalError("SELECT", {}, psycopg.OperationalError("the server went away"))

    with stream(api, campaign_id) as events:
        next(events)
        monkeypatch.setattr(events_module, "list_events", break_off)
        assert list(events) == []
    assert "Traceback" not in caplog.text


def test_a_stream_ends_when_its_key_is_revoked(
    url: str, api: httpx2.Client, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = create(api)["id"]
    monkeypatch.setattr(events_module, "LOOK_ANYWAY_S", 0.02)
    with client_of(url, make_key(sessions, Scope.CAMPAIGNS_READ)) as reader, stream(reader, campaign_id) as events:
        next(events)
        key = api.get("/v1/keys").json()["data"][0]
        api.post(f"/v1/keys/{key['id']}/revoke")
        assert list(events) == []


@pytest.mark.parametrize("cursor", ["1", "a-b", "-1-2", "1-", "²-1"])
def test_a_malformed_cursor_is_422(api: httpx2.Client, cursor: str) -> None:
    path = f"/v1/campaigns/{create(api)['id']}/events"
    assert api.get(path, params={"after": cursor}).status_code == 422
    assert api.get(f"{path}/stream", params={"after": cursor}).status_code == 422


def test_a_stream_of_no_campaign_is_404(api: httpx2.Client) -> None:
    path = "/v1/campaigns/019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e/events/stream"
    assert api.get(path).status_code == 404

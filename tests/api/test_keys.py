"""Keys: what opens what, and that a token is shown once and stored nowhere."""

from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import func, text, update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import ApiKey
from discovery_service.domain.access import Scope
from tests.api.serving import client_of, make_key

SPEC = {"name": "x", "spec": {"arena": "plain"}}


def test_without_a_key_everything_but_health_is_401(api: httpx2.Client, anonymous: httpx2.Client) -> None:
    document = api.get("/openapi.json").json()
    asked = [(method, path) for path, item in document["paths"].items() for method in item]
    asked += [("get", "/openapi.json"), ("get", "/v1/nothing"), ("put", "/v1/campaigns")]
    for method, path in asked:
        answer = anonymous.request(method.upper(), path.replace("{", "").replace("}", ""))
        if path in ("/healthz", "/readyz"):
            assert answer.status_code == 200, path
        else:
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"{", b"x" * 2_000_000])
def test_the_key_is_looked_at_before_the_body(anonymous: httpx2.Client, body: bytes) -> None:
    assert anonymous.post("/v1/campaigns", content=body).status_code == 401


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer dls_short", "Basic dXNlcjpwYXNz", "Bearer dls_é".encode("latin-1")]
)
def test_a_malformed_key_is_401(anonymous: httpx2.Client, value: str | bytes) -> None:
    assert anonymous.get("/v1/campaigns", headers={"Authorization": value}).status_code == 401


def test_a_key_opens_what_its_scopes_say(url: str, sessions: Sessions) -> None:
    with client_of(url, make_key(sessions, Scope.CAMPAIGNS_READ)) as reader:
        assert reader.get("/v1/campaigns").status_code == 200
        refused = reader.post("/v1/campaigns", json=SPEC)
        assert refused.status_code == 403
        assert "campaigns:write" in refused.json()["detail"]
        assert reader.get("/v1/keys").status_code == 403
    with client_of(url, make_key(sessions, Scope.CAMPAIGNS_WRITE)) as writer:
        assert writer.post("/v1/campaigns", json=SPEC).status_code == 201
        assert writer.get("/v1/campaigns").status_code == 403


def test_a_created_key_works_until_it_is_revoked(api: httpx2.Client, url: str, owner_sessions: Sessions) -> None:
    created = api.post("/v1/keys", json={"name": "ci", "scopes": ["campaigns:read"]})
    assert created.status_code == 201
    token, key_id = created.json()["token"], created.json()["id"]
    with client_of(url, token) as holder:
        assert holder.get("/v1/campaigns").status_code == 200
        listed = {key["id"]: key for key in api.get("/v1/keys").json()["data"]}
        assert listed[key_id]["last_used_at"] is not None
        assert token not in api.get("/v1/keys").text
        with owner_sessions() as session:
            stored = session.execute(text("SELECT api_key::text FROM api_key")).scalars().all()
        assert all(token not in row for row in stored)
        assert api.post(f"/v1/keys/{key_id}/revoke").json()["revoked_at"] is not None
        assert holder.get("/v1/campaigns").status_code == 401
    assert api.post(f"/v1/keys/{key_id}/revoke").status_code == 200


def test_an_expired_key_is_401(url: str, sessions: Sessions) -> None:
    token = make_key(sessions, Scope.ADMIN)
    with sessions.begin() as session:
        session.execute(update(ApiKey).values(expires_at=func.now() - timedelta(seconds=1)))
    with client_of(url, token) as holder:
        assert holder.get("/v1/campaigns").status_code == 401


def test_a_key_that_would_open_nothing_is_not_made(api: httpx2.Client) -> None:
    past = {"name": "old", "scopes": ["campaigns:read"], "expires_at": "2020-01-01T00:00:00Z"}
    refused = api.post("/v1/keys", json=past)
    assert refused.status_code == 422
    assert "in the past" in refused.json()["detail"]


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "soon", 0])
def test_a_key_cannot_expire_beyond_the_calendar(api: httpx2.Client, time: str | int) -> None:
    asked = {"name": "odd", "scopes": ["campaigns:read"], "expires_at": time}
    assert api.post("/v1/keys", json=asked).status_code == 422

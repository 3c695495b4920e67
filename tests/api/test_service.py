"""Health, readiness and metrics, with everything there and with parts of it away."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func
from starlette.types import Message

from discovery_service.api import create_app
from discovery_service.api.middleware import WholeBody
from discovery_service.api.server import GRACE_S
from discovery_service.db.migrate import upgrade
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Evaluation
from discovery_service.domain.states import CampaignStatus
from tests.api.serving import KEY_SECRET, api_settings, client_of, serving
from tests.api.test_campaigns import create
from tests.conftest import Database
from tests.rows import add_campaign, add_evaluation

NO_BROKER = "redis://127.0.0.1:1/0"
NO_DATABASE = "postgresql://discovery_service@127.0.0.1:1/nothing"


def test_ready_when_everything_is_there(anonymous: httpx2.Client) -> None:
    assert anonymous.get("/healthz").json()["status"] == "ok"
    readiness = anonymous.get("/readyz").json()
    assert (readiness["status"], readiness["database"], readiness["broker"]) == ("ready", "ok", "ok")


def test_without_a_broker_degraded_and_still_at_work(database: Database, token: str) -> None:
    with serving(create_app(api_settings(database.service_url, NO_BROKER))) as url, client_of(url, token) as api:
        readiness = api.get("/readyz")
        assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded")
        create(api)


def test_without_a_database_unavailable_and_503(redis_url: str) -> None:
    token = "dls_" + "a" * 40 + "y6o3f4a"
    with serving(create_app(api_settings(NO_DATABASE, redis_url))) as url, client_of(url, token) as api:
        assert api.get("/healthz").status_code == 200
        readiness = api.get("/readyz")
        assert (readiness.status_code, readiness.json()["database"]) == (503, "away")


def test_a_request_while_the_database_is_away_is_503_and_says_when_to_come_back(
    api: httpx2.Client, app: object, token: str, redis_url: str
) -> None:
    with serving(create_app(api_settings(NO_DATABASE, redis_url))) as url, client_of(url, token) as unlucky:
        answer = unlucky.get("/v1/campaigns")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "urn:discovery:problem:unavailable"


def test_an_unmigrated_database_is_not_ready(empty_database: Database, redis_url: str) -> None:
    # As the owner: in a database that was never migrated the service's role may not even exist.
    with serving(create_app(api_settings(empty_database.owner_url, redis_url))) as url, client_of(url, None) as api:
        readiness = api.get("/readyz")
    assert (readiness.status_code, readiness.json()["database"]) == (503, "behind")


def test_where_a_newer_version_has_migrated_this_one_goes_on(empty_database: Database, redis_url: str) -> None:
    upgrade(empty_database.owner_url)
    with psycopg.connect(empty_database.owner_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with serving(create_app(api_settings(empty_database.owner_url, redis_url))) as url, client_of(url, None) as api:
        readiness = api.get("/readyz")
    assert (readiness.status_code, readiness.json()["status"]) == (200, "ready")
    assert (readiness.json()["database"], readiness.json()["schema_revision"]) == ("newer", "9999")


def test_what_nobody_could_take_is_not_waiting(api: httpx2.Client, sessions: Sessions) -> None:
    def read() -> float:
        families = {family.name: family for family in text_string_to_metric_families(api.get("/metrics").text)}
        samples = families["discovery_oldest_waiting_seconds"].samples
        return next(each.value for each in samples if each.labels["kind"] == "evaluation")

    with sessions.begin() as session:
        campaign_id = (campaign := add_campaign(session)).id
        an_hour_ago = func.now() - timedelta(hours=1)
        evaluation_id = add_evaluation(session, campaign, created_at=an_hour_ago).id
    assert 3_600 <= read() < 3_700
    with sessions.begin() as session:
        session.get_one(Evaluation, evaluation_id).started_at = func.now() - timedelta(minutes=1)
    assert 60 <= read() < 160
    with sessions.begin() as session:
        session.get_one(Campaign, campaign_id).status = CampaignStatus.PAUSED
    assert read() == 0


def test_what_may_fall_is_no_counter(api: httpx2.Client) -> None:
    kinds = {family.name: family.type for family in text_string_to_metric_families(api.get("/metrics").text)}
    assert {kinds[f"discovery_{name}"] for name in ("crashes", "llm_cost_usd", "llm_tokens")} == {"gauge"}


def test_metrics_count_requests_by_route_and_work_by_status(api: httpx2.Client, sessions: Sessions) -> None:
    create(api)
    with sessions.begin() as session:
        add_evaluation(session, add_campaign(session))
    api.get("/v1/campaigns/019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e")
    families = {family.name: family for family in text_string_to_metric_families(api.get("/metrics").text)}
    requests = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["discovery_http_request_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert requests[("POST", "/v1/campaigns", "201")] == 1
    assert requests[("GET", "/v1/campaigns/{campaign_id}", "404")] == 1
    work = {
        (sample.labels["kind"], sample.labels["status"]): sample.value for sample in families["discovery_work"].samples
    }
    assert work[("evaluation", "queued")] == 1


def test_an_unforeseen_error_is_a_problem_without_its_traceback(
    api: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("discovery_service.api.routes.campaigns.list_campaigns", fail)
    answer = api.get("/v1/campaigns")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["detail"]


def test_a_request_id_of_the_client_is_kept_unless_it_is_odd(anonymous: httpx2.Client) -> None:
    assert anonymous.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert anonymous.get("/healthz", headers={"X-Request-ID": "a b"}).headers["x-request-id"] != "a b"


def test_a_body_over_the_limit_is_413_whether_its_length_is_declared_or_not(api: httpx2.Client) -> None:
    big = b"x" * 1_100_000
    declared = api.post("/v1/campaigns", content=big)
    chunked = api.post("/v1/campaigns", content=iter([big]))
    for answer in (declared, chunked):
        assert answer.status_code == 413
        assert "262,144" in answer.json()["detail"]


def test_more_creations_than_the_rate_are_429_with_the_time_to_wait(
    database: Database, redis_url: str, token: str
) -> None:
    app = create_app(api_settings(database.service_url, redis_url, creations_per_minute=2))
    with serving(app) as url, client_of(url, token) as api:
        assert [
            api.post("/v1/campaigns", json={"name": "x", "spec": {"arena": "plain"}}).status_code for _ in "ab"
        ] == [
            201,
            201,
        ]
        refused = api.post("/v1/campaigns", json={"name": "x", "spec": {"arena": "plain"}})
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert api.get("/v1/campaigns").status_code == 200


def test_it_stops_in_under_a_second_with_an_open_stream(
    database: Database, redis_url: str, token: str, tmp_path: Path, unused_port: int
) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "DISCOVERY__DB__URL": database.service_url,
        "DISCOVERY__REDIS__URL": redis_url,
        "DISCOVERY__API__KEY_SECRET": KEY_SECRET,
        "DISCOVERY__API__PORT": str(unused_port),
    }
    code = "from discovery_service.api.server import serve; from discovery_service.settings import get_settings\n"
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen([sys.executable, "-c", f"{code}serve(get_settings())"], env=env, stderr=log)
    with log, server, client_of(f"http://127.0.0.1:{unused_port}", token) as api:
        wait_until_up(api, server)
        campaign_id = create(api)["id"]
        with api.stream("GET", f"/v1/campaigns/{campaign_id}/events/stream") as stream:
            lines = stream.iter_lines()
            next(lines)
            server.send_signal(signal.SIGTERM)
            # Half of uvicorn's own patience with a stream that does not end.
            assert server.wait(GRACE_S / 2) in (0, -signal.SIGTERM)
            list(lines)
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


def wait_until_up(api: httpx2.Client, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert api.get("/healthz").status_code == 200
        except httpx2.ConnectError:
            assert server.poll() is None, "the server ended"
            time.sleep(0.02)
        else:
            return
    pytest.fail("the server did not come up")


def test_more_clients_than_connections_are_all_served(url: str, token: str) -> None:
    """Each request needs a connection and, at times, a thread; 80 at once used to wait for each other for ever."""
    clients = 120
    at_once = threading.Barrier(clients)

    def ask(_: int) -> int:
        with client_of(url, token) as api:
            at_once.wait()
            return api.get("/v1/campaigns", timeout=60).status_code

    with ThreadPoolExecutor(clients) as pool:
        assert set(pool.map(ask, range(clients))) == {200}


def test_clients_that_fall_asleep_in_the_middle_of_their_body_hold_nobody_up(url: str, api: httpx2.Client) -> None:
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /v1/campaigns HTTP/1.1\r\nHost: x\r\nAuthorization: {api.headers['authorization']}\r\n"
    with ExitStack() as asleep:
        for _ in range(60):
            sleeper = asleep.enter_context(socket.create_connection((host, int(port))))
            sleeper.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        for path in ("/healthz", "/readyz", "/v1/campaigns"):
            assert api.get(path).status_code == 200


def test_a_body_that_does_not_arrive_is_408() -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def unreachable(*_: Any) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "state": {"request_id": "x"}}
    asyncio.run(WholeBody(unreachable, max_bytes=10, within_s=0.01)(scope, never, send))
    assert sent[0]["status"] == 408


def test_what_somebody_else_holds_locked_is_503_after_a_while(api: httpx2.Client, sessions: Sessions) -> None:
    campaign_id = create(api)["id"]
    with sessions.begin() as other:
        other.get_one(Campaign, UUID(campaign_id), with_for_update=True)
        answer = api.patch(f"/v1/campaigns/{campaign_id}", json={"name": "y"})
    assert answer.status_code == 503
    assert "Something else changes the same thing" in answer.json()["detail"]
    assert answer.headers["retry-after"]

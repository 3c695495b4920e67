"""The fleet over the wire, and as the command prints it."""

from datetime import timedelta
from typing import Any

import httpx2
from sqlalchemy import func

from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Worker


def add(sessions: Sessions, name: str, **values: Any) -> None:
    with sessions.begin() as session:
        columns = {"queues": ["evaluate"], "slots": 2, "host": "here", "pid": 1, "devices": []}
        session.add(Worker(name=name, **columns | values))


def ago(**length: float) -> Any:
    return func.now() - timedelta(**length)


def test_each_worker_is_told_with_its_devices_and_whether_it_lives(
    api: httpx2.Client, url: str, token: str, sessions: Sessions
) -> None:
    card = {"kind": "cuda", "card": "GPU-1", "model": "NVIDIA H100"}
    add(sessions, "evaluate@a", devices=[card])
    add(sessions, "evaluate@b", seen_at=ago(minutes=2))
    add(sessions, "gate@a", stopped_at=func.now(), queues=["gate", "maintain"], isolation="full")
    add(sessions, "long-gone", seen_at=ago(days=2))
    found = {each["name"]: each for each in api.get("/v1/workers").json()["data"]}
    states = {name: each["state"] for name, each in found.items()}
    assert states == {"evaluate@a": "live", "evaluate@b": "lost", "gate@a": "stopped"}
    assert found["evaluate@a"]["devices"] == [card]
    assert (found["gate@a"]["isolation"], found["gate@a"]["queues"]) == ("full", ["gate", "maintain"])
    with Client(url, token) as client:
        assert [each.state for each in client.workers.list()] == list(states.values())


def test_of_a_name_the_last_incarnation_counts(api: httpx2.Client, sessions: Sessions) -> None:
    add(sessions, "evaluate@a", stopped_at=func.now(), created_at=ago(hours=1), pid=1)
    add(sessions, "evaluate@a", pid=2)
    (found,) = api.get("/v1/workers").json()["data"]
    assert (found["pid"], found["state"]) == (2, "live")


def test_an_empty_fleet_is_an_empty_list(api: httpx2.Client) -> None:
    assert api.get("/v1/workers").json() == {"data": []}

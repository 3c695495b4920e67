"""Families, the library, and dry runs through the gate, as a client sees them."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from discovery_service.api.routes import losses
from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import GateCheck
from discovery_service.domain.access import Scope
from discovery_service.domain.families import Family
from discovery_service.engine.checks import CHECK_TASK, answer_check
from discovery_service.losses.known import list_known
from tests.api.serving import client_of, make_key

SOURCE = {"family": "pairwise", "source": "def loss(policy_chosen_logps):\n    return -policy_chosen_logps\n"}
ANSWER = {
    **dict.fromkeys(("code", "message", "line", "graph_sha256", "formula", "graph_text", "passport")),
    "status": "accepted",
    "name": "loss",
    "refusals": [],
    "neighbours": [],
    "isolation": "full",
}


@contextmanager
def answering(sessions: Sessions, answer: dict[str, Any] = ANSWER) -> Iterator[None]:
    """A gate worker's part, done in a thread: answer whatever is asked."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.01):
            with sessions.begin() as session:
                for check_id in session.scalars(select(GateCheck.id).where(GateCheck.answered_at.is_(None))):
                    answer_check(session, check_id, answer)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        yield
        ended.set()
        done.result()


def test_each_family_tells_its_inputs_and_its_library(api: httpx2.Client) -> None:
    families = {each["name"]: each for each in api.get("/v1/families").json()["data"]}
    assert families.keys() == set(Family)
    beta = next(each for each in families["pairwise"]["inputs"] if each["name"] == "beta")
    assert (beta["role"], beta["shape"], beta["is_integer"]) == ("setting", "()", False)
    assert "dpo" in families["pairwise"]["library"]


def test_the_library_tells_what_each_loss_is_and_does(url: str, token: str) -> None:
    with Client(url, token) as client:
        known = {each.name: each for each in client.losses.library()}
    assert list(known) == [each.name for each in list_known(Family.PAIRWISE)]
    lrml = known["lrml"]
    assert lrml.passport["slope_at_zero"] > 0
    assert any("rises for z in (-0.118" in sentence for sentence in lrml.sentences)
    assert lrml.source.count("def ") == 1
    assert lrml.neighbours


def test_a_family_without_known_losses_has_an_empty_library(api: httpx2.Client) -> None:
    assert api.get("/v1/library", params={"family": "matching"}).json() == {"data": []}
    assert api.get("/v1/library", params={"family": "unknown"}).status_code == 422


def test_a_check_is_answered_as_soon_as_a_worker_has_judged(
    api: httpx2.Client, sessions: Sessions, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "LOOK_ANYWAY_S", 3600.0)  # what is left is the NOTIFY
    with answering(sessions):
        answer = api.post("/v1/candidates:check", json=SOURCE)
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert CHECK_TASK.encode() in redis_client.lrange("gate", 0, -1)[0]


def test_a_check_whose_notification_was_lost_is_found_all_the_same(
    api: httpx2.Client, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "LOOK_ANYWAY_S", 0.02)
    monkeypatch.setattr("discovery_service.engine.checks.CHECK_CHANNEL", "nobody_listens")
    with answering(sessions):
        assert api.post("/v1/candidates:check", json=SOURCE).status_code == 200


def test_without_a_worker_a_check_is_503_and_holds_nobody_up(
    api: httpx2.Client, url: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "ANSWER_WITHIN_S", 4.0)
    waiting = 60  # more than there are connections

    def ask(_: int) -> httpx2.Response:
        with client_of(url, token) as client:
            return client.post("/v1/candidates:check", json=SOURCE, timeout=30)

    with ThreadPoolExecutor(waiting) as pool:
        asked = [pool.submit(ask, number) for number in range(waiting)]
        assert api.get("/v1/campaigns").status_code == 200
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].headers["retry-after"]
    assert "gate worker" in answers[0].json()["detail"]


def test_who_may_only_read_sends_nothing_through_the_gate(url: str, sessions: Sessions) -> None:
    with client_of(url, make_key(sessions, Scope.CAMPAIGNS_READ)) as reader:
        assert reader.get("/v1/families").status_code == 200
        assert reader.post("/v1/candidates:check", json=SOURCE).status_code == 403


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("import os\n" + SOURCE["source"], "forbidden_import"),
        ("\x00", "forbidden_character"),
    ],
)
def test_what_the_text_alone_refuses_needs_no_worker(api: httpx2.Client, source: str, code: str) -> None:
    answer = api.post(
        "/v1/candidates:check",
        content=json.dumps({**SOURCE, "source": source}),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["code"], answer.json()["isolation"]) == ("refused", code, None)

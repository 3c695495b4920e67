"""Families, the library, and dry runs through the gate, as a client sees them."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from discovery_service.api.routes import losses
from discovery_service.client import Client, Unavailable
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import GateCheck
from discovery_service.domain.access import Scope
from discovery_service.domain.families import Family
from discovery_service.domain.ids import uuid7
from discovery_service.engine import checks
from discovery_service.engine.checks import CHECK_TASK, answer_check
from discovery_service.errors import TooManyRequests
from discovery_service.losses.answer import Answer, AnswerStatus
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
        try:
            yield
        finally:  # or whoever asks would wait for this thread for ever
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


def test_each_family_has_a_library_of_its_own(api: httpx2.Client) -> None:
    told = {
        family: api.get("/v1/library", params={"family": family}).json()["data"] for family in ("outcome", "matching")
    }
    assert [each["name"] for each in told["outcome"]] == ["oo_rlhf", "sft_best_half", "cpo", "dr_cpo"]
    assert {each["family"] for each in told["matching"]} == {"matching"}
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


def ask_at_once(url: str, token: str, count: int) -> list[httpx2.Response]:
    def ask(_: int) -> httpx2.Response:
        with client_of(url, token) as client:
            return client.post("/v1/candidates:check", json=SOURCE, timeout=30)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def test_without_a_worker_a_check_is_503_and_holds_nobody_up(
    api: httpx2.Client, url: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "ANSWER_WITHIN_S", 4.0)
    monkeypatch.setattr(checks, "MOST_WAITING", 1000)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask_at_once, url, token, 60)  # more than there are connections
        assert api.get("/v1/campaigns").status_code == 200
        answers = asked.result()
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].headers["retry-after"]
    assert "gate worker" in answers[0].json()["detail"]


def test_a_check_that_nobody_waits_for_any_more_is_gone(
    api: httpx2.Client, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "ANSWER_WITHIN_S", 0.05)
    assert api.post("/v1/candidates:check", json=SOURCE).status_code == 503
    with sessions() as session:
        assert session.scalars(select(GateCheck)).all() == []


def test_beyond_what_the_gate_can_take_a_check_is_503_at_once_and_asks_nobody(
    api: httpx2.Client, sessions: Sessions, redis_client: Any
) -> None:
    with sessions.begin() as session:
        for _ in range(checks.MOST_WAITING):
            checks.ask_check(session, uuid7(), family="pairwise", source="", values={})
    answer = api.post("/v1/candidates:check", json=SOURCE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "wait for the gate" in answer.json()["detail"]
    assert redis_client.llen("gate") == 0


def test_with_the_broker_away_a_check_says_so(
    app: FastAPI, api: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.api.bell, "is_heard", lambda: False)
    answer = api.post("/v1/candidates:check", json=SOURCE)
    assert answer.status_code == 503
    assert "Redis" in answer.json()["detail"]


def test_checks_count_as_creating_requests(app: FastAPI, api: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise TooManyRequests("Enough.", headers={"Retry-After": "60"})

    monkeypatch.setattr(app.state.api.creation_rate, "admit", refuse)
    assert api.post("/v1/candidates:check", json=SOURCE).status_code == 429


def test_the_sdk_asks_a_busy_gate_once(
    url: str, token: str, sessions: Sessions, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "ANSWER_WITHIN_S", 0.05)
    with Client(url, token) as client, pytest.raises(Unavailable):
        client.candidates.check(SOURCE["source"])
    assert redis_client.llen("gate") == 1


def test_the_sdk_tells_families_and_what_the_gate_says(url: str, token: str, sessions: Sessions) -> None:
    with Client(url, token) as client, answering(sessions):
        assert "matching" in {each.name for each in client.losses.families()}
        said = client.candidates.check(SOURCE["source"])
        refused = client.candidates.check("import os\n" + SOURCE["source"])
    assert (said.status, said.name, said.isolation) == ("accepted", "loss", "full")
    assert (refused.status, refused.line, refused.refusals[0].code) == ("refused", 1, "forbidden_import")


def test_an_answer_that_nothing_was_judged_is_no_error(url: str, token: str, sessions: Sessions) -> None:
    none = Answer(status=AnswerStatus.UNAVAILABLE, isolation="unavailable", reason="There is no lock here.")
    with Client(url, token) as client, answering(sessions, none.document()):
        said = client.candidates.check(SOURCE["source"])
    assert (said.status, said.code, said.message) == ("unavailable", "jail_unavailable", "There is no lock here.")


def test_who_may_only_read_sends_nothing_through_the_gate(url: str, sessions: Sessions) -> None:
    with client_of(url, make_key(sessions, Scope.CAMPAIGNS_READ)) as reader:
        assert reader.get("/v1/families").status_code == 200
        assert reader.post("/v1/candidates:check", json=SOURCE).status_code == 403


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("import os\n" + SOURCE["source"], "forbidden_import"),
        ("\x00", "forbidden_character"),
        ("\ud800 = 1\n" + SOURCE["source"], "forbidden_character"),
        (SOURCE["source"] + "# " + "a" * 150_000, "too_long"),
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


METHOD = "def gapped(self, policy_chosen_logps):\n    return self.gap - self.beta * policy_chosen_logps\n"


def test_what_the_source_leaves_open_comes_beside_it(
    api: httpx2.Client, url: str, token: str, sessions: Sessions
) -> None:
    sent = {"family": "pairwise", "source": METHOD, "hyperparameters": {"gab": 0.5}}
    assert api.post("/v1/candidates:check", json=sent).json()["code"] == "missing_value"
    refused = api.post("/v1/candidates:check", json={**sent, "source": SOURCE["source"]})
    assert (refused.status_code, [each["field"] for each in refused.json()["errors"]]) == (
        422,
        ["body.hyperparameters"],
    )
    with answering(sessions), Client(url, token) as client:
        client.candidates.check(METHOD, hyperparameters={"gap": 0.5})
    with sessions() as session:
        assert session.scalars(select(GateCheck.values)).all() == [{"gap": 0.5}]

"""Evaluations over the wire: what was measured, why it was not, and another try for an abandoned one."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from discovery_service.client import Client, Conflict
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Arena, Evaluation
from discovery_service.domain.access import Scope
from discovery_service.domain.arenas import find_document, hash_document
from discovery_service.domain.published import find_figures
from discovery_service.domain.states import CampaignStatus, EvaluationStatus
from tests import rows
from tests.api.serving import client_of, make_key, serving
from tests.client.test_retries import Losing


def add(sessions: Sessions, **values: Any) -> UUID:
    with sessions.begin() as session:
        campaign = rows.add_campaign(session, status=CampaignStatus.PAUSED)
        return rows.add_evaluation(session, campaign, **values).id


def add_measured(sessions: Sessions, metrics: Mapping[str, float] | None = None, **values: Any) -> UUID:
    row_id = add(sessions, **values)
    with sessions.begin() as session:
        evaluation = session.get_one(Evaluation, row_id)
        measured = rows.add_measurement(session, of=evaluation, metrics=metrics or {"objective": 0.5})
        evaluation.status, evaluation.measurement_id = EvaluationStatus.SUCCEEDED, measured.id
    return row_id


def test_a_measured_one_comes_with_its_metrics_and_series(api: httpx2.Client, sessions: Sessions) -> None:
    answer = api.get(f"/v1/evaluations/{add_measured(sessions)}")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["arena"], body["purpose"]) == ("succeeded", rows.ARENA, "screen")
    assert body["setting"] == {"beta": 0.1, "learning_rate": 0.001, "steps": 8}
    assert (body["metrics"], body["series"], body["failure"]) == ({"objective": 0.5}, {"loss": [0.7, 0.6]}, None)


def test_in_a_built_in_arena_it_says_how_much_of_the_attainable_was_attained(
    api: httpx2.Client, sessions: Sessions
) -> None:
    plain = find_document("plain:mini")
    assert plain is not None
    figures = find_figures(hash_document(plain), 2)
    assert figures is not None
    with sessions.begin() as session:
        arena = Arena(name="plain:mini", content_sha256=hash_document(plain), family="pairwise", spec=plain)
        session.add(arena)
        session.flush()
        arena_id = arena.id
    row_id = add_measured(sessions, metrics={"J": figures.j_best}, arena_id=arena_id, base_policy=2)
    assert api.get(f"/v1/evaluations/{row_id}").json()["metrics"] == {"J": figures.j_best, "attained": 1.0}


def test_a_failed_one_says_why_at_which_step_and_how_it_went(api: httpx2.Client, sessions: Sessions) -> None:
    failure = {
        "code": "non_finite",
        "message": "The loss is inf.",
        "step": 1,
        "series": {"loss": [0.7, None]},
    }
    row_id = add(sessions, status=EvaluationStatus.FAILED, failure=failure)
    body = api.get(f"/v1/evaluations/{row_id}").json()
    assert body["failure"] == {name: failure[name] for name in ("code", "message", "step")}
    assert (body["series"], body["metrics"], body["measurement_id"]) == ({"loss": [0.7, None]}, None, None)


def test_a_failure_without_a_step_is_shown_too(api: httpx2.Client, sessions: Sessions) -> None:
    failure = {"code": "refused", "message": "It is not of version 1."}
    answer = api.get(f"/v1/evaluations/{add(sessions, status=EvaluationStatus.FAILED, failure=failure)}")
    assert answer.status_code == 200
    assert answer.json()["failure"] == {**failure, "step": None}
    assert answer.json()["series"] is None


def test_an_abandoned_one_is_rung_for_again(api: httpx2.Client, sessions: Sessions, redis_client: Any) -> None:
    row_id = add(sessions, status=EvaluationStatus.ABANDONED, crashes=3, attempt=3)
    answer = api.post(f"/v1/evaluations/{row_id}:retry")
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["crashes"], answer.json()["attempt"]) == ("queued", 0, 3)
    assert str(row_id).encode() in redis_client.lrange("evaluate", 0, -1)[0]


def test_any_other_is_a_conflict_that_says_what_it_is(api: httpx2.Client, sessions: Sessions) -> None:
    answer = api.post(f"/v1/evaluations/{add_measured(sessions)}:retry")
    assert answer.status_code == 409
    assert "only an abandoned one" in answer.json()["detail"]


def test_one_that_is_not_there_is_not_found(api: httpx2.Client) -> None:
    assert api.get(f"/v1/evaluations/{uuid4()}").status_code == 404
    assert api.post(f"/v1/evaluations/{uuid4()}:retry").status_code == 404


def test_who_may_only_read_retries_nothing(url: str, sessions: Sessions) -> None:
    row_id = add(sessions, status=EvaluationStatus.ABANDONED)
    with client_of(url, make_key(sessions, Scope.CAMPAIGNS_READ)) as reader:
        assert reader.get(f"/v1/evaluations/{row_id}").status_code == 200
        assert reader.post(f"/v1/evaluations/{row_id}:retry").status_code == 403


def test_a_retry_whose_answer_was_lost_is_done_once(app: FastAPI, token: str, sessions: Sessions) -> None:
    row_id = add(sessions, status=EvaluationStatus.ABANDONED, crashes=3, attempt=3)
    app.add_middleware(Losing)
    with serving(app) as url, Client(url, token) as client:
        assert client.evaluations.retry(row_id).status == "queued"
        assert client.evaluations.read(row_id).crashes == 0
        with pytest.raises(Conflict):
            client.evaluations.retry(row_id)
    with sessions() as session:
        assert session.get_one(Evaluation, row_id).attempt == 3

"""Campaigns over HTTP: what can be asked, what is refused, and in which words."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, text

from discovery_service.db.sessions import Sessions
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine.campaigns import get_campaign, move
from tests.rows import add_campaign


def create(api: httpx2.Client, **changes: Any) -> dict[str, Any]:
    answer = api.post("/v1/campaigns", json={"name": "a search", "spec": {"arena": "plain"}, **changes})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def kinds(api: httpx2.Client, campaign_id: str) -> list[str]:
    return [event["kind"] for event in api.get(f"/v1/campaigns/{campaign_id}/events").json()["data"]]


def test_a_created_campaign_can_be_read_where_location_says(api: httpx2.Client) -> None:
    answer = api.post("/v1/campaigns", json={"name": "a search", "spec": {"arena": "panel"}})
    read = api.get(answer.headers["location"])
    assert read.json() == answer.json()
    assert read.json()["status"] == "queued"
    assert read.json()["spec"]["arena"] == "panel:mini"
    assert read.json()["progress"]["evaluations"] == 0


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"arena": "moon"}, "body.spec.arena", "panel:mini"),
        ({"arena": "panel:huge"}, "body.spec.arena", "panel:mini"),
        ({"arena": "plain", "held_out_arenas": ["fog", "moon"]}, "body.spec.held_out_arenas.1", "panel:mini"),
        ({"arena": "plain", "budgets": {"tokens": -1}}, "body.spec.budgets.tokens", "greater than or equal to 0"),
        ({"arena": "plain", "budget": 3}, "body.spec.budget", "there are family, arena"),
        ({"arena": "plain", "library": ["dpo", "dppo"]}, "body.spec.library", "cdpo"),
        ({"arena": "plain", "proposers": [{"kind": "oracle"}]}, "body.spec.proposers.0", "symbolic"),
        ({}, "body.spec.arena", "required"),
        ({"arena": "plain", "guidance": "a\u0000b"}, "body.spec.guidance", "NUL"),
    ],
)
def test_a_bad_spec_is_422_naming_the_field_and_what_is_allowed(
    api: httpx2.Client, spec: dict[str, Any], field: str, says: str
) -> None:
    answer = api.post("/v1/campaigns", json={"name": "x", "spec": spec})
    assert answer.status_code == 422
    messages = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert says in messages[field]
    assert field in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"", b'{"name": "\\ud800", "spec": {"arena": "plain"}}', b'{"\\ud800": 1}', b"\xff"]
)
def test_an_unreadable_body_is_a_problem_document(api: httpx2.Client, body: bytes) -> None:
    answer = api.post("/v1/campaigns", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_the_list_pages_newest_first_without_gap_or_repeat_while_it_grows(api: httpx2.Client) -> None:
    ids = [create(api, name=f"{number}")["id"] for number in range(5)]
    first = api.get("/v1/campaigns", params={"limit": 2}).json()
    create(api, name="arrives between two pages")
    second = api.get("/v1/campaigns", params={"limit": 2, "after": first["next"]}).json()
    third = api.get("/v1/campaigns", params={"limit": 2, "after": second["next"]}).json()
    seen = [campaign["id"] for page in (first, second, third) for campaign in page["data"]]
    assert seen == ids[::-1]
    assert (third["has_more"], third["next"]) == (False, None)


def test_a_repeated_status_means_one_or_the_other(api: httpx2.Client) -> None:
    queued, paused, cancelled = (create(api)["id"] for _ in range(3))
    api.post(f"/v1/campaigns/{paused}/pause")
    api.post(f"/v1/campaigns/{cancelled}/cancel")
    listed = api.get("/v1/campaigns", params={"status": ["queued", "paused"]}).json()["data"]
    assert {campaign["id"] for campaign in listed} == {queued, paused}


def test_an_edit_changes_what_it_names_and_says_so_in_an_event(api: httpx2.Client) -> None:
    made = create(api, notes="before", spec={"arena": "plain", "budgets": {"tokens": 5, "patience": 2}})
    changes = {"guidance": "be bold", "budgets": {"candidates": 3, "patience": None}}
    edited = api.patch(f"/v1/campaigns/{made['id']}", json=changes).json()
    assert edited["spec"]["guidance"] == "be bold"
    budgets = edited["spec"]["budgets"]
    assert (budgets["candidates"], budgets["tokens"], budgets["patience"]) == (3, 5, None)
    assert (edited["name"], edited["notes"]) == (made["name"], "before")
    last = api.get(f"/v1/campaigns/{made['id']}/events").json()["data"][-1]
    assert (last["kind"], last["payload"]["fields"]) == ("campaign.edited", ["budgets", "guidance"])
    assert last["payload"]["was"] == {name: made["spec"][name] for name in ("budgets", "guidance")}


@pytest.mark.parametrize(
    "body", [{}, {"arena": "terse"}, {"budgets": {"candidates": -1}}, {"name": ""}, {"name": "a\x1b]0;b"}]
)
def test_an_edit_of_anything_else_is_422(api: httpx2.Client, body: dict[str, Any]) -> None:
    assert api.patch(f"/v1/campaigns/{create(api)['id']}", json=body).status_code == 422


def test_pause_and_resume_may_be_repeated_and_write_one_event_each(api: httpx2.Client) -> None:
    path = f"/v1/campaigns/{create(api)['id']}"
    statuses = [api.post(f"{path}/{command}").json()["status"] for command in ("pause", "pause", "resume", "resume")]
    assert statuses == ["paused", "paused", "queued", "queued"]
    assert kinds(api, path.rsplit("/", 1)[1]) == ["campaign.created", "campaign.paused", "campaign.queued"]


def test_a_cancelled_campaign_does_not_come_back(api: httpx2.Client) -> None:
    path = f"/v1/campaigns/{create(api)['id']}"
    assert api.post(f"{path}/cancel").json()["status"] == "cancelled"
    assert api.post(f"{path}/cancel").status_code == 202
    for command in ("pause", "resume"):
        refused = api.post(f"{path}/{command}")
        assert refused.status_code == 409
        assert "cancelled" in refused.json()["detail"]


def test_a_clone_has_the_same_spec_and_tells_where_it_comes_from(api: httpx2.Client) -> None:
    made = create(api, spec={"arena": "terse", "seed": 7})
    clone = api.post(f"/v1/campaigns/{made['id']}/clone", json={}).json()
    assert clone["spec"] == made["spec"]
    assert (clone["cloned_from"], clone["status"]) == (made["id"], "queued")
    named = api.post(f"/v1/campaigns/{made['id']}/clone", json={"name": "other"}).json()
    assert named["name"] == "other"


def test_an_archived_campaign_leaves_the_list_and_can_come_back(api: httpx2.Client) -> None:
    made = create(api)
    path = f"/v1/campaigns/{made['id']}"
    assert api.post(f"{path}/archive").status_code == 409
    api.post(f"{path}/cancel")
    assert api.post(f"{path}/archive").json()["archived_at"] is not None
    assert api.get("/v1/campaigns").json()["data"] == []
    assert [one["id"] for one in api.get("/v1/campaigns", params={"archived": True}).json()["data"]] == [made["id"]]
    assert api.post(f"{path}/unarchive").json()["archived_at"] is None
    assert len(api.get("/v1/campaigns").json()["data"]) == 1


def test_a_deleted_campaign_is_gone_from_every_list(api: httpx2.Client) -> None:
    path = f"/v1/campaigns/{create(api)['id']}"
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.delete(path).status_code == 404
    assert api.get("/v1/campaigns").json()["data"] == []


def test_a_running_campaign_is_not_deleted(api: httpx2.Client, sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign = add_campaign(session, status=CampaignStatus.QUEUED)
        move(session, get_campaign(session, campaign.id, lock=True), CampaignStatus.RUNNING)
    refused = api.delete(f"/v1/campaigns/{campaign.id}")
    assert refused.status_code == 409
    assert "cancel it first" in refused.json()["detail"]


def test_the_same_idempotency_key_makes_one_campaign(api: httpx2.Client) -> None:
    body = {"name": "once", "spec": {"arena": "plain"}}
    first = api.post("/v1/campaigns", json=body, headers={"Idempotency-Key": "k1"})
    again = api.post("/v1/campaigns", json=body, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert len(api.get("/v1/campaigns").json()["data"]) == 1


def test_an_idempotency_key_with_another_body_is_422(api: httpx2.Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    api.post("/v1/campaigns", json={"name": "one", "spec": {"arena": "plain"}}, headers=headers)
    other = api.post("/v1/campaigns", json={"name": "two", "spec": {"arena": "plain"}}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:discovery:problem:idempotency_mismatch")


def test_a_refused_creation_does_not_use_up_its_key(api: httpx2.Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    assert api.post("/v1/campaigns", json={"name": "x", "spec": {}}, headers=headers).status_code == 422
    made = api.post("/v1/campaigns", json={"name": "x", "spec": {"arena": "plain"}}, headers=headers)
    assert made.status_code == 201


def test_a_key_whose_first_request_still_runs_is_409(api: httpx2.Client, owner_sessions: Sessions) -> None:
    key_id = api.get("/v1/keys").json()["data"][0]["id"]
    with owner_sessions.begin() as holder:
        holder.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{key_id} /v1/campaigns k1", 0))))
        body = {"name": "x", "spec": {"arena": "plain"}}
        answer = api.post("/v1/campaigns", json=body, headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:discovery:problem:idempotency_in_progress")


@pytest.fixture
def stale(api: httpx2.Client, owner_sessions: Sessions) -> str:
    """A campaign from a time when other arenas were known and some fields did not exist."""
    campaign_id = create(api, name="old")["id"]
    old = '{"family": "pairwise", "arena": "moon:mini", "budgets": {"candidates": 3}, "was_there_once": 1}'
    with owner_sessions.begin() as session:
        session.execute(text("UPDATE campaign SET spec = :spec"), {"spec": old})
    return campaign_id


def test_a_campaign_of_an_older_version_can_still_be_read_steered_and_listed(api: httpx2.Client, stale: str) -> None:
    path = f"/v1/campaigns/{stale}"
    spec = api.get(path).json()["spec"]
    assert (spec["arena"], spec["budgets"]["candidates"], spec["budgets"]["tokens"]) == ("moon:mini", 3, None)
    assert spec["strategy"]["name"] == "evolve"
    assert api.get("/v1/campaigns").status_code == 200
    assert api.patch(path, json={"budgets": {"tokens": 7}}).json()["spec"]["budgets"]["tokens"] == 7
    assert api.post(f"{path}/cancel").status_code == 202


def test_a_clone_of_what_no_longer_holds_says_what_to_mend(api: httpx2.Client, stale: str) -> None:
    refused = api.post(f"/v1/campaigns/{stale}/clone", json={})
    assert refused.status_code == 422
    assert "arena: names no arena" in refused.json()["detail"]


def test_a_page_behind_nothing_is_422(api: httpx2.Client) -> None:
    for path in ("/v1/campaigns", "/v1/keys"):
        answer = api.get(path, params={"after": "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"})
        assert answer.status_code == 422


def test_a_thousand_wrong_fields_are_told_in_a_short_answer(api: httpx2.Client) -> None:
    spec = {"arena": "plain", **{f"key{number}": 1 for number in range(10_000)}}
    answer = api.post("/v1/campaigns", json={"name": "x", "spec": spec})
    assert answer.status_code == 422
    assert len(answer.content) < 10_000

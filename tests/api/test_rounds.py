"""Rounds and proposals over HTTP, and what people put into a search by hand."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import event, select

from discovery_service.api.schemas.rounds import RoundDetail
from discovery_service.client import Client, Conflict
from discovery_service.db.rounds import read_round
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Evaluation
from discovery_service.domain.access import Scope
from discovery_service.domain.states import CampaignStatus, Purpose
from tests.api.serving import client_of, make_key
from tests.api.test_campaigns import create, kinds
from tests.engine.playing import table
from tests.engine.searching import OTHERS, Search, in_turn, say

SOURCE = "def mine(policy_chosen_logps, beta):\n    return -beta * policy_chosen_logps\n"


@pytest.fixture
def search(sessions: Sessions) -> Search:
    def replies(number: int, slot: int, turn: int) -> str | None:
        return say("nonsense") if (number, slot, turn) == (1, 1, 0) else in_turn()(number, slot, turn)

    return Search(sessions, table({OTHERS[7]: 0.8}), replies, library=["dpo", "ipo"], budgets={"candidates": 2})


def test_what_a_person_sends_waits_is_judged_and_measured_and_can_be_read_all_the_way(
    api: httpx2.Client, url: str, token: str, search: Search
) -> None:
    path = f"/v1/campaigns/{search.campaign_id}"
    body = {"source": SOURCE, "name": OTHERS[7], "notes": "A hunch."}
    sent = api.post(f"{path}/candidates", json=body, headers={"Idempotency-Key": "k"})
    assert sent.status_code == 201, sent.text
    assert (sent.json()["status"], sent.json()["proposer"], sent.json()["round"]) == ("queued", "human", 1)
    again = api.post(f"{path}/candidates", json=body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json(), again.headers["location"]) == (200, sent.json(), sent.headers["location"])
    waiting = api.get(f"{path}/rounds").json()["data"]
    assert [(each["number"], each["status"], each["by_proposer"]) for each in waiting] == [(1, "queued", {"human": 1})]
    search.search()
    mine = api.get(sent.headers["location"]).json()
    assert (mine["status"], mine["outcome"], mine["exchanges"]) == ("answered", {"thought": "A hunch."}, [])
    (loss,) = mine["candidates"]
    assert (loss["name"], loss["author"], loss["status"], loss["source"]) == (OTHERS[7], "human", "accepted", SOURCE)
    assert loss["confirm"]["verdict"] == "better than"
    assert loss["confirm"]["lower"] > 0
    trained = [(each["arena"], each["purpose"], each["status"], each["failure"]) for each in loss["evaluations"]]
    assert trained == [
        ("table", purpose, "succeeded", None)
        for purpose, count in {"tune": 11, "screen": 3, "confirm": 9}.items()
        for _ in range(count)
    ]
    screened = [each for each in loss["evaluations"] if each["purpose"] == "screen"]
    assert [each["draw"] for each in screened] == ["0", "1", "2"]
    assert {str(each["setting"]) for each in screened} == {str(loss["screen"]["setting"])}
    one = api.get(f"/v1/evaluations/{screened[0]['id']}").json()
    assert {name: one[name] for name in screened[0]} == screened[0]
    read = api.get(f"/v1/rounds/{mine['round_id']}").json()
    assert (read["number"], read["status"], read["snapshot_rounds"]) == (1, "closed", [0])
    assert [each["proposer"] for each in read["proposals"]] == ["human", "symbolic"]
    assert read["proposals"][0] == mine
    machines = read["proposals"][1]
    assert [each["status"] for each in machines["exchanges"]] == ["answered", "answered"]
    assert [each["status"] for each in machines["candidates"]] == ["rejected", "accepted"]
    assert machines["candidates"][0]["refusal"]["message"] == "There is no such name."
    with Client(url, token) as client:
        assert client.rounds.read(read["id"]).model_dump(mode="json") == read
        assert client.proposals.read(mine["id"]).model_dump(mode="json") == mine
        assert [each.number for each in client.rounds.list(search.campaign_id, limit=1)] == [0, 1]
        with pytest.raises(Conflict, match="Extend it, and send this along with that"):
            client.campaigns.propose(search.campaign_id, source=SOURCE)


def test_a_round_is_read_in_as_many_queries_however_much_came_of_it(api: httpx2.Client, sessions: Sessions) -> None:
    """And a training that failed says why."""
    names = OTHERS[:4]
    spec = {"library": ["dpo"], "budgets": {"candidates": 4}, "strategy": {"round_size": 3, "max_open_rounds": 1}}
    search = Search(sessions, table({}, failing=names[:1]), in_turn(names, round_size=3), **spec)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    counts = []
    for each in search.list_rounds():
        queries: list[str] = []

        def hear(*said: Any, to: list[str] = queries) -> None:
            to.append(said[2])

        with sessions() as session:
            event.listen(session.get_bind(), "before_cursor_execute", hear)
            RoundDetail.of(read_round(session, each, search.arena_id))
            event.remove(session.get_bind(), "before_cursor_execute", hear)
        counts.append(len(queries))
    # Of one loss in the library, of three, and of one again.
    assert len(set(counts)) == 1, counts
    first = api.get(f"/v1/rounds/{search.list_rounds()[1].id}").json()["proposals"][0]["candidates"][0]
    failed = [each for each in first["evaluations"] if each["status"] == "failed"]
    assert {each["failure"]["message"] for each in failed} == {"It diverged."}


def test_pages_of_rounds_go_on_behind_the_last(api: httpx2.Client) -> None:
    path = f"/v1/campaigns/{create(api)['id']}/rounds"
    made = [api.post(path, json={"size": size}).json() for size in (1, 2, 3)]
    assert [(each["number"], each["ordered"]["size"]) for each in made] == [(1, 1), (2, 2), (3, 3)]
    first = api.get(path, params={"limit": 2}).json()
    assert (first["data"], first["has_more"], first["next"]) == (made[:2], True, made[1]["id"])
    assert api.get(path, params={"limit": 2, "after": first["next"]}).json() == {
        "data": made[2:],
        "has_more": False,
        "next": None,
    }
    assert api.get(path, params={"after": str(uuid4())}).status_code == 422


def test_an_ordered_round_says_how_and_of_whom_the_spec_has(api: httpx2.Client) -> None:
    campaign_id = create(api)["id"]
    path = f"/v1/campaigns/{campaign_id}/rounds"
    made = api.post(path, json={"proposer": "symbolic", "guidance": "Be bold."})
    assert made.json()["ordered"] == {"size": None, "proposer": "symbolic", "guidance": "Be bold."}
    assert api.get(made.headers["location"]).json()["proposals"] == []
    assert "round.queued" in kinds(api, campaign_id)
    refused = api.post(path, json={"proposer": "llm"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"field": "body.proposer", "message": "is none of this campaign's spec, which has symbolic"}
    ]


def test_a_campaign_that_has_ended_takes_nothing(api: httpx2.Client) -> None:
    path = f"/v1/campaigns/{create(api)['id']}"
    api.post(f"{path}/cancel")
    for sent in (api.post(f"{path}/candidates", json={"source": SOURCE}), api.post(f"{path}/rounds", json={})):
        assert sent.status_code == 409
        assert sent.json()["detail"].startswith("The campaign is cancelled and does not go on. Clone it")


@pytest.mark.parametrize("body", [{}, {"source": ""}, {"source": "a\x00b"}, {"source": "x" * 100_001}])
def test_what_cannot_be_stored_is_422(api: httpx2.Client, body: dict[str, str]) -> None:
    assert api.post(f"/v1/campaigns/{create(api)['id']}/candidates", json=body).status_code == 422


def test_who_may_do_what(url: str, api: httpx2.Client, sessions: Sessions) -> None:
    path = f"/v1/campaigns/{create(api)['id']}"
    losses = {"budgets": {"candidates": 9}, "candidates": [{"source": SOURCE}]}

    def codes(*scope: Scope) -> list[int]:
        with client_of(url, make_key(sessions, *scope)) as client:
            return [
                client.get(f"{path}/rounds").status_code,
                client.post(f"{path}/rounds", json={}).status_code,
                client.post(f"{path}/candidates", json={"source": SOURCE}).status_code,
                client.post(f"{path}/extend", json=losses).status_code,
            ]

    assert codes(Scope.CAMPAIGNS_READ) == [200, 403, 403, 403]
    assert codes(Scope.CAMPAIGNS_WRITE)[1:] == [201, 403, 403]
    assert codes(Scope.CANDIDATES_WRITE)[1:] == [403, 201, 403]
    # It has not completed yet.
    assert codes(Scope.CAMPAIGNS_WRITE, Scope.CANDIDATES_WRITE)[3] == 409
    for unknown in (f"/v1/campaigns/{uuid4()}/rounds", f"/v1/rounds/{uuid4()}", f"/v1/proposals/{uuid4()}"):
        assert api.get(unknown).status_code == 404


def test_a_confirmation_is_read_once_it_is_whole(api: httpx2.Client, search: Search, sessions: Sessions) -> None:
    def read() -> list[dict[str, object]]:
        query = select(Evaluation.candidate_id).where(Evaluation.purpose == Purpose.CONFIRM).distinct()
        with sessions() as session:
            losses = session.scalars(query.where(Evaluation.campaign_id == search.campaign_id)).all()
        pages = [api.get(f"/v1/candidates/{each}/evaluations", params={"purpose": "confirm"}).json() for each in losses]
        return [row for page in pages for row in page["data"] if row["status"] == "succeeded"]

    search.search(slots=1, until=lambda: bool(read()))
    (row,) = read()
    assert row["measurement_id"]
    assert (row["metrics"], row["series"]) == (None, None)
    assert api.get(f"/v1/evaluations/{row['id']}").json()["metrics"] is None
    search.search()
    whole = read()
    assert len(whole) > 9
    assert all(each["metrics"] and each["series"] is not None for each in whole)
    assert api.get(f"/v1/evaluations/{row['id']}").json()["metrics"]


def test_a_completed_campaign_is_extended(api: httpx2.Client, search: Search) -> None:
    path = f"/v1/campaigns/{search.campaign_id}"
    early = api.post(f"{path}/extend", json={"budgets": {"candidates": 9}})
    assert (early.status_code, early.json()["type"]) == (409, "urn:discovery:problem:illegal_transition")
    search.search()
    edited = api.patch(path, json={"budgets": {"candidates": 4}})
    assert (edited.status_code, edited.json()["detail"]) == (
        409,
        "The campaign is completed, and other budgets change nothing of it. Extend it.",
    )
    assert api.patch(path, json={"budgets": {"candidates": 2}, "notes": "As they are."}).status_code == 200
    same = api.post(f"{path}/extend", json={"budgets": {"candidates": 2}})
    assert same.status_code == 422
    assert same.json()["errors"][0]["field"] == "body.budgets"
    for _ in range(2):
        extended = api.post(f"{path}/extend", json={"budgets": {"candidates": 4}})
        assert extended.status_code == 202
        assert (extended.json()["status"], extended.json()["extension"]) == ("running", 1)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    # Of what the first search proposed nothing was confirmed to be better, and both freezes can be read.
    assert [each["extension"] for each in api.get(f"{path}/standings").json()["freezes"]] == [0, 1]
    assert api.get(path).json()["status_reason"].startswith("Extension 1. ")

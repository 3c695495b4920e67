"""One loss over HTTP: all that is known of it, and the larger parts of that each at an address of its own."""

import html
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import event, func, update
from sqlalchemy.orm import Session

from discovery_service.api.highlighting import MOST_CHARACTERS, highlight_python
from discovery_service.api.schemas.candidates import MOST_SOURCE, CandidateDetailRead
from discovery_service.api.schemas.lineage import FrontierRead, LineageRead
from discovery_service.client import Client
from discovery_service.db.candidates import get_candidate, list_evaluations, read_candidate
from discovery_service.db.lineage import MOST_RELATIVES, read_kin
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate, Lineage
from discovery_service.domain.access import Scope
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Setting
from discovery_service.domain.states import CandidateStatus, Purpose
from discovery_service.engine.frontiers import read_frontier
from discovery_service.losses.described import list_described
from discovery_service.losses.passport import describe_passport
from tests import rows
from tests.api.serving import client_of, make_key
from tests.api.test_exports import id_of, played
from tests.engine.playing import Play, table

BEST = Setting(beta=1.0, learning_rate=1.5e-3, steps=120)
"""In a table's arena."""
PARTS = ("", "/source", "/graph", "/curve", "/evaluations", "/lineage", "/frontier")
KNOWN = list_described(Family.PAIRWISE)
HOSTILE = "def f(beta):\n    # </pre><script>alert(\"1\")</script>\n    return '<img src=x onerror=alert(1)>' & beta\n"


@pytest.fixture
def won(sessions: Sessions) -> Play:
    """A campaign in which cdpo is proposed, better than DPO, and stored as the gate stores."""
    play = played(sessions, 0.5, author=Author.LLM)
    known = KNOWN["cdpo"]
    neighbour = {"name": "robust_dpo", "cosine": 0.999, "beta_shift": 1.0, "is_twin": True, "is_near": False}
    change(
        play.sessions,
        id_of(play, "cdpo"),
        passport={**known.passport, "curve": known.curve},
        formula=known.formula,
        values={"label_smoothing": 0.1},
        isolation={"level": "full", "reason": None, "layers": ["seccomp"]},
        twin={**neighbour, "library": None},
        neighbours=[{**neighbour, "is_outside": True}, *known.neighbours[:1]],
    )
    return play


def change(sessions: Sessions, candidate_id: UUID, **values: Any) -> None:
    with sessions.begin() as session:
        session.execute(update(Candidate).where(Candidate.id == candidate_id).values(**values))


def add_loss(sessions: Sessions, **values: Any) -> UUID:
    with sessions.begin() as session:
        return rows.add_candidate(session, rows.add_campaign(session), **values).id


def count_queries(session: Session, read: Callable[[], object]) -> int:
    queries: list[str] = []

    def hear(*said: Any) -> None:
        queries.append(said[2])

    event.listen(session.get_bind(), "before_cursor_execute", hear)
    read()
    event.remove(session.get_bind(), "before_cursor_execute", hear)
    return len(queries)


def test_a_loss_tells_where_it_is_from_and_what_the_gate_found(
    api: httpx2.Client, url: str, token: str, won: Play
) -> None:
    candidate_id = id_of(won, "cdpo")
    with won.sessions.begin() as session:
        proposal_id = session.get_one(Candidate, candidate_id).proposal_id
        for turn, answered_by in ((0, "a-model-2026"), (1, "another-model")):
            made = rows.add_exchange(session, won.get_campaign())
            made.proposal_id, made.turn, made.answered_by = proposal_id, turn, answered_by
            made.tokens_in, made.tokens_out, made.cost_usd = 100, 20, 0.5
    answer = api.get(f"/v1/candidates/{candidate_id}")
    body = answer.json()
    proposal = api.get(f"/v1/proposals/{body['proposal_id']}").json()
    assert (proposal["campaign_id"], proposal["round"], proposal["slot"]) == (
        body["campaign_id"],
        body["round"],
        body["slot"],
    )
    (short,) = proposal["candidates"]
    assert {name: body[name] for name in ("id", "turn", "name", "author", "status", "source", "formula", "twin")} == {
        name: short[name] for name in ("id", "turn", "name", "author", "status", "source", "formula", "twin")
    }
    # That of its own turn; the whole proposal is paid.
    assert body["model"] == "a-model-2026"
    assert (body["cost"]["tokens"], body["cost"]["cost_usd"]) == (240, 1.0)
    assert body["hyperparameters"] == [{"name": "label_smoothing", "value": 0.1, "is_structural": False}]
    assert body["values"] == {"label_smoothing": 0.1}
    assert "curve" not in body["passport"]
    assert body["passport"] == KNOWN["cdpo"].passport
    assert body["sentences"] == describe_passport(KNOWN["cdpo"].passport)
    assert body["isolation"] == {"level": "full", "reason": None}
    assert body["known_as"] == ["robust_dpo"]
    assert [(each["is_twin"], each["is_outside"]) for each in body["neighbours"]] == [(True, True), (False, False)]
    assert (body["refusals"], body["is_stopped"], body["parents"], body["children"]) == ([], False, 0, 0)
    with Client(url, token) as client:
        assert client.candidates.read(candidate_id).model_dump(mode="json") == body


def test_a_loss_stands_and_costs_what_the_board_says(api: httpx2.Client, won: Play) -> None:
    body = api.get(f"/v1/candidates/{id_of(won, 'cdpo')}").json()
    row = api.get(f"/v1/campaigns/{won.campaign_id}/leaderboard").json()["rows"][0]
    assert row["candidate_id"] == body["id"]
    assert body["cost"] == row["cost"]
    place = {"arena": "table", "is_search": True}
    assert body["screen"] == [{**place, **row["screen"]}]
    assert body["confirm"] == [{**place, **row["confirm"]}]


def test_in_every_arena_a_loss_stands_apart_and_that_of_the_search_is_first(
    api: httpx2.Client, sessions: Sessions
) -> None:
    play = played(sessions, 0.5, held_out=["elsewhere"])
    body = api.get(f"/v1/candidates/{id_of(play, 'cdpo')}").json()
    assert [(each["arena"], each["is_search"]) for each in body["screen"]] == [("table", True)]
    assert [(each["arena"], each["is_search"]) for each in body["confirm"]] == [("table", True), ("elsewhere", False)]
    held_out = api.get(f"/v1/candidates/{body['id']}/evaluations", params={"arena": "elsewhere", "limit": 50}).json()
    assert {each["arena"] for each in held_out["data"]} == {"elsewhere"}
    there = api.get(f"/v1/candidates/{body['id']}/frontier", params={"arena": "elsewhere"}).json()
    assert (there["arena"], len(there["loss"]["tried"]), there["loss"]["screen"]) == ("elsewhere", 7, [])
    assert [each["draws"] for each in there["loss"]["confirm"]] == [body["confirm"][1]["draws"]]


def test_a_refused_loss_has_its_reasons_and_null_for_what_it_never_had(
    api: httpx2.Client, url: str, token: str, sessions: Sessions
) -> None:
    first = {"code": "unknown_input", "message": "There is no input `margins`.", "line": 1}
    second = {"code": "wrong_shape", "message": "It is a scalar."}
    loss = {"graph_sha256": None, "refusal": {**first, "all": [first, second]}}
    candidate_id = add_loss(sessions, status=CandidateStatus.REJECTED, **loss)
    body = api.get(f"/v1/candidates/{candidate_id}").json()
    assert body["refusals"] == [first, {**second, "line": None}]
    absent = ("graph_sha256", "hyperparameters", "passport", "readable_source", "formula", "isolation", "twin", "model")
    assert {body[name] for name in absent} == {None}
    assert (body["sentences"], body["neighbours"], body["screen"], body["confirm"]) == ([], [], [], [])
    assert body["cost"] == {"evaluations": 0, "device_seconds": 0.0, "tokens": 0, "cost_usd": 0.0}
    parts = {part: api.get(f"/v1/candidates/{candidate_id}{part}") for part in PARTS}
    assert {each.status_code for each in parts.values()} == {200}
    assert parts["/graph"].json()["graph"] is None
    assert (parts["/curve"].json()["curve"], parts["/source"].json()["readable"]) == (None, None)
    assert parts["/evaluations"].json() == {"data": [], "has_more": False, "next": None}
    assert [each["id"] for each in parts["/lineage"].json()["losses"]] == [str(candidate_id)]
    assert parts["/frontier"].json()["reference"] is None
    with Client(url, token) as client:
        for part in PARTS[1:]:
            read = getattr(client.candidates, part.removeprefix("/"))(candidate_id)
            if part != "/evaluations":
                assert read.model_dump(mode="json") == parts[part].json()


def test_a_loss_goes_with_its_campaign(api: httpx2.Client, sessions: Sessions) -> None:
    candidate_id = add_loss(sessions)
    assert api.get(f"/v1/candidates/{candidate_id}").status_code == 200
    with sessions.begin() as session:
        session.execute(update(Campaign).values(deleted_at=func.now()))
    for each in (candidate_id, uuid4()):
        assert {api.get(f"/v1/candidates/{each}{part}").status_code for part in PARTS} == {404}


def test_whoever_may_read_campaigns_reads_losses(url: str, sessions: Sessions) -> None:
    candidate_id = add_loss(sessions)
    for scope, code in ((Scope.CAMPAIGNS_READ, 200), (Scope.EXPORTS_READ, 403)):
        with client_of(url, make_key(sessions, scope)) as client:
            assert {client.get(f"/v1/candidates/{candidate_id}{part}").status_code for part in PARTS} == {code}


def test_the_resource_stays_light_whatever_the_loss_holds(api: httpx2.Client, sessions: Sessions) -> None:
    long = f"# {'é' * MOST_SOURCE}\n" + rows.SOURCE
    graph = {"hyperparameters": [], "nodes": [["a node"] * 10] * 1000}
    known = KNOWN["lrml"]
    candidate_id = add_loss(
        sessions,
        source=long,
        readable_source=long,
        graph=graph,
        fingerprint=b"0" * 50_000,
        passport={**known.passport, "curve": known.curve},
        neighbours=list(known.neighbours),
        check_vectors={"values": [[0.1] * 1000] * 10},
    )
    answer = api.get(f"/v1/candidates/{candidate_id}")
    assert len(answer.content) < 30_000
    assert (answer.json()["source"], answer.json()["readable_source"]) == (None, None)
    assert api.get(f"/v1/candidates/{candidate_id}/source").json()["sent"]["text"] == long
    assert api.get(f"/v1/candidates/{candidate_id}/graph").json()["graph"] == graph


LONG = HOSTILE * (1 + MOST_CHARACTERS // len(HOSTILE))


@pytest.mark.parametrize("source", [HOSTILE, LONG, "<", '"""<b', "\t<\n\n"])
def test_highlighted_source_is_the_source_with_no_mark_of_its_own(source: str) -> None:
    shown = highlight_python(source)
    tags = set(re.findall(r"<[^>]*>", shown))
    marks = {f"<{end}{name}>" for name in ("div", "pre", "span") for end in ("", "/")}
    assert {re.sub(r' class="[a-z0-9]+"', "", tag) for tag in tags} <= marks
    text = html.unescape(re.sub(r"<[^>]*>", "", shown))
    assert text.rstrip("\n") == source.rstrip("\n")


def test_source_comes_as_sent_and_as_the_gate_writes_it(api: httpx2.Client, sessions: Sessions) -> None:
    candidate_id = add_loss(sessions, source=HOSTILE, readable_source=rows.SOURCE)
    body = api.get(f"/v1/candidates/{candidate_id}/source").json()
    assert (body["sent"]["text"], body["readable"]["text"]) == (HOSTILE, rows.SOURCE)
    assert "<script>" not in body["sent"]["html"]
    assert "<img" not in body["sent"]["html"]
    assert '<span class="k">def</span>' in body["readable"]["html"]
    assert "style=" not in body["readable"]["html"]


def test_a_curve_is_what_the_gate_stored_beside_dpos(api: httpx2.Client, won: Play) -> None:
    body = api.get(f"/v1/candidates/{id_of(won, 'cdpo')}/curve").json()
    assert (body["curve"], body["progress"]) == (KNOWN["cdpo"].curve, 0.0)
    assert (body["against"], body["reference"]) == ("dpo", KNOWN["dpo"].curve)
    assert api.get(f"/v1/candidates/{id_of(won, 'cdpo')}/graph").json()["graph"] == KNOWN["cdpo"].graph


def test_evaluations_come_page_by_page_with_what_they_measured(
    api: httpx2.Client, url: str, token: str, won: Play
) -> None:
    candidate_id = id_of(won, "cdpo")
    path = f"/v1/candidates/{candidate_id}/evaluations"
    stored = {str(row.id): row for name, row in won.evaluations() if name == "cdpo"}
    with Client(url, token) as client:
        found = [each.model_dump(mode="json") for each in client.candidates.evaluations(candidate_id, limit=4)]
        assert found == [each.model_dump(mode="json") for each in client.candidates.evaluations(candidate_id)]
    assert [each["id"] for each in found] == sorted(stored)
    assert found[0] == api.get(f"/v1/evaluations/{found[0]['id']}").json()
    wanted = ["tune", "confirm"]
    some = api.get(path, params={"purpose": wanted, "limit": 50}).json()["data"]
    assert {each["id"] for each in some} == {key for key, row in stored.items() if row.purpose in wanted}
    assert api.get(path, params={"arena": "table", "limit": 1}).json()["has_more"] is True
    other = next(str(row.id) for name, row in won.evaluations() if name == "dpo")
    refused = [{"arena": "plain:mini"}, {"after": other}, {"limit": 51}, {"purpose": "guess"}]
    assert [api.get(path, params=each).status_code for each in refused] == [422] * 4


class Descending:
    """Losses of one campaign, each with its parents and inspirations."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        with sessions.begin() as session:
            self.campaign_id = rows.add_campaign(session).id

    def add(self, name: str, *parents: UUID, source: str = rows.SOURCE, inspirations: tuple[UUID, ...] = ()) -> UUID:
        with self.sessions.begin() as session:
            campaign = session.get_one(Campaign, self.campaign_id)
            made = rows.add_candidate(session, campaign, name=name, readable_source=source)
            session.add_all(Lineage(child_id=made.id, parent_id=each, role="parent") for each in parents)
            session.add_all(Lineage(child_id=made.id, parent_id=each, role="inspiration") for each in inspirations)
            return made.id


def test_lineage_goes_up_and_down_to_the_end_with_what_changed_at_each_step(
    api: httpx2.Client, url: str, token: str, sessions: Sessions
) -> None:
    made = Descending(sessions)
    other = rows.SOURCE.replace("-beta", "-2 * beta")
    oldest = made.add("oldest")
    aside = made.add("aside")
    parent = made.add("parent", oldest, source=other)
    mine = made.add("mine", parent, source=other, inspirations=(oldest, aside))
    child = made.add("child", mine)
    grandchild = made.add("grandchild", child, inspirations=(parent,))
    made.add("cousin", oldest)
    body = api.get(f"/v1/candidates/{mine}/lineage").json()
    assert [(each["name"], each["generation"], each["round"]) for each in body["losses"]] == [
        # By the shortest way: it was shown to the one that it is the grandparent of.
        *(("oldest", -1, 1), ("aside", -1, 2), ("parent", -1, 3)),
        ("mine", 0, 4),
        *(("child", 1, 5), ("grandchild", 2, 6)),
    ]
    diffs = {(each["parent_id"], each["child_id"]): (each["role"], each["diff"]) for each in body["descents"]}
    assert diffs == {
        (str(oldest), str(parent)): (
            "parent",
            "--- oldest\n+++ parent\n@@ -1,2 +1,2 @@\n"
            " def loss(policy_chosen_logps, policy_rejected_logps, beta):\n"
            "-    return -beta * policy_chosen_logps\n+    return -2 * beta * policy_chosen_logps\n",
        ),
        (str(parent), str(mine)): ("parent", ""),
        (str(oldest), str(mine)): ("inspiration", None),
        (str(aside), str(mine)): ("inspiration", None),
        (str(mine), str(child)): ("parent", diffs[str(mine), str(child)][1]),
        (str(child), str(grandchild)): ("parent", ""),
        (str(parent), str(grandchild)): ("inspiration", None),
    }
    assert (body["are_ancestors_cut"], body["are_descendants_cut"]) == (False, False)
    loss = api.get(f"/v1/candidates/{mine}").json()
    assert (loss["parents"], loss["children"]) == (3, 1)
    with Client(url, token) as client:
        assert client.candidates.lineage(mine).model_dump(mode="json") == body


def test_a_relative_stands_as_it_does_on_its_own(api: httpx2.Client, won: Play) -> None:
    mine, parent = id_of(won, "cdpo"), id_of(won, "ipo")
    with won.sessions.begin() as session:
        session.add(Lineage(child_id=mine, parent_id=parent, role="parent"))
    above, itself = api.get(f"/v1/candidates/{mine}/lineage").json()["losses"]
    assert (above["name"], above["confirm"]["verdict"], itself["confirm"]["verdict"]) == ("ipo", None, "better than")
    for each in (above, itself):
        (screen,) = api.get(f"/v1/candidates/{each['id']}").json()["screen"]
        assert each["screen"] == {name: screen[name] for name in each["screen"]}


def test_a_lineage_of_too_many_says_that_it_is_cut_and_shows_the_nearest(
    api: httpx2.Client, sessions: Sessions
) -> None:
    made = Descending(sessions)
    root = made.add("root")
    children = [made.add(f"child {number}", root) for number in range(3)]
    for number in range(MOST_RELATIVES):
        made.add(f"grandchild {number}", children[number % 3])
    body = api.get(f"/v1/candidates/{root}/lineage").json()
    assert (body["are_ancestors_cut"], body["are_descendants_cut"]) == (False, True)
    assert len(body["losses"]) == MOST_RELATIVES + 1
    assert {each["name"] for each in body["losses"] if each["generation"] == 1} == {f"child {n}" for n in range(3)}
    assert len(body["descents"]) == MOST_RELATIVES
    chain = made.add("first")
    for number in range(MOST_RELATIVES + 1):
        chain = made.add(f"link {number}", chain)
    above = api.get(f"/v1/candidates/{chain}/lineage").json()
    assert (above["are_ancestors_cut"], above["losses"][0]["name"]) == (True, "link 0")


def test_a_source_that_is_too_long_to_compare_has_no_diff_and_a_name_of_lines_makes_none(
    api: httpx2.Client, sessions: Sessions
) -> None:
    made = Descending(sessions)
    parent = made.add("long", source="# x\n" * 10_000)
    child = made.add("short\n@@ -1 +1 @@", parent)
    grandchild = made.add("another", child, source="pass\n")
    first, second = api.get(f"/v1/candidates/{grandchild}/lineage").json()["descents"]
    assert first["diff"] is None
    assert second["diff"].startswith("--- short @@ -1 +1 @@\n+++ another\n")


def test_the_frontier_has_every_setting_that_was_tried_beside_dpos(
    api: httpx2.Client, url: str, token: str, won: Play
) -> None:
    candidate_id = id_of(won, "cdpo")
    body = api.get(f"/v1/candidates/{candidate_id}/frontier").json()
    assert (body["arena"], body["earned"], body["against"]) == ("table", "reward", "dpo")
    for trace, name in ((body["loss"], "cdpo"), (body["reference"], "dpo")):
        rows_of = [row for loss, row in won.evaluations(purpose=Purpose.TUNE) if loss == name]
        first = {tuple(sorted(row.setting.items())) for row in rows_of}
        assert {tuple(sorted(each["setting"].items())) for each in trace["tried"]} == first
        assert [each["draws"] for each in trace["tried"]] == [1] * 7
        assert [each["draws"] for each in trace["tuned"]] == [3, 3]
        for each in (*trace["tried"], *trace["tuned"]):
            assert each["earned"]["draws"] == each["kl"]["draws"] == each["draws"]
            # No number of several draws without its interval, and one draw has none.
            assert (each["earned"]["low"] is None) is (each["draws"] == 1)
        # All have the same KL here, so that whatever earns most on the same draws is alone on the frontier.
        for points in (trace["tried"], trace["tuned"]):
            best = max(points, key=lambda each: each["earned"]["mean"])
            assert [each for each in points if each["is_on_frontier"]] == [best]
        (screened,) = trace["screen"]
        stored = won.standings(Purpose.SCREEN)[name].figures["means"]["reward"]
        assert screened["earned"] == stored
        assert trace["confirm"][0]["earned"] == won.standings(Purpose.CONFIRM)[name].figures["means"]["reward"]
    own = api.get(f"/v1/candidates/{id_of(won, 'dpo')}/frontier").json()
    assert (own["loss"], own["reference"]) == (body["reference"], None)
    assert api.get(f"/v1/candidates/{candidate_id}/frontier", params={"arena": "flips:mini"}).status_code == 422
    with Client(url, token) as client:
        assert client.candidates.frontier(candidate_id).model_dump(mode="json") == body


def test_a_setting_at_which_a_draw_failed_has_no_mean_and_is_on_no_frontier(
    api: httpx2.Client, sessions: Sessions
) -> None:
    def value(name: str, setting: Any, policy: int, purpose: Purpose, draw: str) -> float | None:
        fails = name == "cdpo" and purpose is Purpose.TUNE and draw == "1" and setting == BEST
        return None if fails else table({"cdpo": 0.5})(name, setting, policy, purpose, draw)

    play = Play(sessions, value, rounds=[("cdpo",)], library=("dpo",))
    play.run()
    own = api.get(f"/v1/candidates/{id_of(play, 'cdpo')}/frontier").json()["loss"]
    failed, other = sorted(own["tuned"], key=lambda each: -each["failed"])
    assert (failed["setting"]["beta"], failed["draws"], failed["failed"]) == (1.0, 2, 1)
    assert (failed["earned"], failed["kl"], failed["is_on_frontier"]) == (None, None, False)
    assert (other["failed"], other["is_on_frontier"]) == (0, True)
    (first,) = [each for each in own["tried"] if each["setting"] == failed["setting"]]
    assert (first["failed"], first["is_on_frontier"]) == (0, True)


def test_a_loss_is_read_in_as_many_queries_however_much_there_is_of_it(won: Play, sessions: Sessions) -> None:
    lone = add_loss(sessions)
    with won.sessions.begin() as session:
        for each in ("dpo", "ipo"):
            session.add(Lineage(child_id=id_of(won, "cdpo"), parent_id=id_of(won, each), role="parent"))

    def count(candidate_id: UUID) -> list[int]:
        with sessions() as session:
            row, campaign = get_candidate(session, candidate_id)
            page = {"arena": None, "purposes": (), "after": None, "limit": 50}
            reads: list[Callable[[], object]] = [
                lambda: CandidateDetailRead.of(read_candidate(session, candidate_id)),
                lambda: LineageRead.of(candidate_id, read_kin(session, row, campaign)),
                lambda: FrontierRead.of(read_frontier(session, row, campaign.spec["arena"])),
                lambda: list_evaluations(session, candidate_id, **page),
            ]
            return [count_queries(session, read) for read in reads]

    assert count(id_of(won, "cdpo")) == count(lone)

"""The leaderboard of a campaign over the wire, and the file in which its winner leaves."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import func, select

from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Candidate, Lineage
from discovery_service.domain.access import Scope
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.states import CandidateStatus, Purpose
from discovery_service.losses.known import list_known
from discovery_service.losses.source import check_source
from tests import rows
from tests.api.serving import client_of, make_key
from tests.engine.playing import Play, table

KNOWN = {each.name: each.text for each in list_known(Family.PAIRWISE)}
VECTORS = {"values": [[0.5]], "gradients": [{"policy_chosen_logps": [0.25]}]}


def played(
    sessions: Sessions,
    merit: float,
    *,
    merits: Mapping[str, float] | None = None,
    author: Author = Author.SYMBOLIC,
    **given: Any,
) -> Play:
    """A campaign in which cdpo is proposed and better than DPO by so much; it is stored as the gate does."""
    play = Play(
        sessions, table({"cdpo": merit, **(merits or {})}), **{"rounds": (), "library": ("dpo", "ipo"), **given}
    )
    play.add_round(("cdpo",), author=author)
    play.run()
    with sessions.begin() as session:
        for each in session.scalars(select(Candidate).where(Candidate.campaign_id == play.campaign_id)):
            each.readable_source = check_source(KNOWN[each.name], Family.PAIRWISE).text
            each.check_vectors, each.torch_version = VECTORS, "2.13.0"
    return play


def id_of(play: Play, name: str) -> UUID:
    with play.sessions() as session:
        where = (Candidate.campaign_id == play.campaign_id, Candidate.name == name)
        return session.scalars(select(Candidate.id).where(*where)).one()


@pytest.fixture
def won(sessions: Sessions) -> Play:
    return played(sessions, 0.5)


def test_the_board_ranks_by_lower_bound_and_keeps_screen_and_confirmation_apart(
    api: httpx2.Client, url: str, token: str, won: Play
) -> None:
    body = api.get(f"/v1/campaigns/{won.campaign_id}/leaderboard").json()
    assert (body["arena"], body["against"]) == ("table", "dpo")
    assert [(each["rank"], each["name"], each["author"]) for each in body["rows"]] == [
        (1, "cdpo", "symbolic"),
        (2, "ipo", "library"),
        (None, "dpo", "library"),
    ]
    first, second, last = body["rows"]
    stages = ((Purpose.SCREEN, first["screen"], [0]), (Purpose.CONFIRM, first["confirm"], [0, 1, 2]))
    for stage, score, policies in stages:
        stored = won.standings(stage)["cdpo"]
        assert (score["difference"], score["lower"], score["upper"], score["draws"]) == (
            stored.difference,
            stored.lower,
            stored.upper,
            stored.draws,
        )
        assert score["base_policies"] == policies
    assert first["confirm"]["reward"]["low"] < first["confirm"]["reward"]["mean"]
    assert (first["verdict"], first["screen"]["verdict"]) == ("better than dpo", None)
    assert [(each["name"], each["verdict"]) for each in first["confirm"]["against"]] == [("ipo", "better than")]
    assert (first["screen"]["against"], second["confirm"]["against"]) == ([], [])
    assert second["verdict"] == "a reference, with no verdict of its own"
    assert last["verdict"] == "what the others are compared with"
    trained = len([row for name, row in won.evaluations() if name == "cdpo" and row.device_seconds is not None])
    assert (first["cost"]["evaluations"], first["cost"]["device_seconds"]) == (trained, float(trained))
    with Client(url, token) as client:
        assert client.campaigns.leaderboard(won.campaign_id).model_dump(mode="json") == body


def test_the_board_says_why_a_loss_was_not_screened(api: httpx2.Client, sessions: Sessions) -> None:
    merits = table({"cdpo": 0.5}, failing=["lrml"])
    play = Play(sessions, merits, rounds=[("cdpo", "exp"), ("lrml",)], library=["dpo"])
    rows = api.get(f"/v1/campaigns/{play.campaign_id}/leaderboard").json()["rows"]
    assert {each["verdict"] for each in rows if each["name"] != "dpo"} == {"not screened"}
    play.run()
    rows = api.get(f"/v1/campaigns/{play.campaign_id}/leaderboard").json()["rows"]
    verdicts = {each["name"]: each["verdict"] for each in rows}
    assert (verdicts["exp"], verdicts["lrml"]) == ("no verdict: stopped in the worse half of its round", "not screened")
    assert [each["name"] for each in rows if each["is_stopped"]] == ["exp"]


def test_the_board_counts_what_the_proposal_cost_with_its_refused_turns(api: httpx2.Client, won: Play) -> None:
    with won.sessions.begin() as session:
        candidate = session.get_one(Candidate, id_of(won, "cdpo"))
        for turn in (0, 1):
            made = rows.add_exchange(session, won.get_campaign())
            made.proposal_id, made.turn = candidate.proposal_id, turn
            made.model, made.tokens_in, made.tokens_out, made.cost_usd = f"m-{turn}", 100, 20, 0.5
    first = api.get(f"/v1/campaigns/{won.campaign_id}/leaderboard").json()["rows"][0]
    assert (first["model"], first["cost"]["tokens"], first["cost"]["cost_usd"]) == ("m-1", 240, 1.0)


def test_board_and_module_name_the_model_that_answered_and_not_what_the_operator_calls_it(
    api: httpx2.Client, sessions: Sessions
) -> None:
    won = played(sessions, 0.5, author=Author.LLM)
    with won.sessions.begin() as session:
        candidate = session.get_one(Candidate, id_of(won, "cdpo"))
        made = rows.add_exchange(session, won.get_campaign())
        made.proposal_id, made.model, made.answered_by = candidate.proposal_id, "fast", "Qwen/Qwen3-32B"
    assert api.get(f"/v1/campaigns/{won.campaign_id}/leaderboard").json()["rows"][0]["model"] == "Qwen/Qwen3-32B"
    module = api.get(f"/v1/campaigns/{won.campaign_id}/best/export/module").text
    assert "Proposed by the language model Qwen/Qwen3-32B." in " ".join(module.split())
    exchange = api.get(f"/v1/proposals/{candidate.proposal_id}").json()["exchanges"][0]
    assert (exchange["model"], exchange["answered_by"]) == ("fast", "Qwen/Qwen3-32B")


def test_an_arena_that_is_none_of_the_campaign_is_refused(api: httpx2.Client, won: Play) -> None:
    path = f"/v1/campaigns/{won.campaign_id}/leaderboard"
    assert api.get(path, params={"arena": "table"}).status_code == 200
    assert api.get(path, params={"arena": "elsewhere"}).status_code == 422
    assert api.get(f"/v1/campaigns/{uuid4()}/leaderboard").status_code == 404


def test_the_winner_leaves_with_its_digest(api: httpx2.Client, won: Play) -> None:
    path = f"/v1/campaigns/{won.campaign_id}/best/export/module"
    answer = api.get(path)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    stored = won.standings(Purpose.CONFIRM)["cdpo"]
    text = " ".join(answer.text.split())
    assert f"Better than dpo: less dpo's {stored.difference:+.3f} [{stored.lower:+.3f}, {stored.upper:+.3f}]" in text
    assert 'NAME = "cdpo"' in text
    assert "UNCONFIRMED" not in text
    assert "9 draws over 3 base policies" in text
    assert api.get(f"/v1/candidates/{id_of(won, 'cdpo')}/export/module").content == answer.content
    unchanged = api.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_the_winner_leaves_as_a_bundle_of_the_same_bytes_each_time(
    api: httpx2.Client, url: str, token: str, won: Play
) -> None:
    winner = id_of(won, "cdpo")
    with won.sessions.begin() as session:
        session.add(Lineage(child_id=winner, parent_id=id_of(won, "ipo"), role="parent"))
    answer = api.get(f"/v1/campaigns/{won.campaign_id}/best/export/bundle")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert answer.headers["Content-Disposition"] == 'attachment; filename="discovered_loss.zip"'
    again = api.get(f"/v1/candidates/{winner}/export/bundle")
    assert again.content == answer.content
    unchanged = api.get(again.url.path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert contents["discovered_loss.py"] == api.get(f"/v1/candidates/{winner}/export/module").content
    told = json.loads(contents["provenance.json"])
    assert (told["candidate_id"], told["campaign"]["id"]) == (str(winner), str(won.campaign_id))
    assert told["campaign"]["library"] == ["dpo", "ipo"]
    assert told["campaign"]["candidates"] == {"accepted": 1, "refused": 0}
    assert [(each["name"], each["role"]) for each in told["proposed"]["parents"]] == [("ipo", "parent")]
    stored = won.standings(Purpose.CONFIRM)["cdpo"]
    confirmed = next(each for each in told["evaluated"] if each["stage"] == "confirm")
    assert (confirmed["setting"], confirmed["base_policies"]) == (stored.setting, [0, 1, 2])
    assert len(confirmed["arena_sha256"]) == 64
    against = confirmed["against"][0]
    assert (against["name"], against["mean"], against["low"]) == ("dpo", stored.difference, stored.lower)
    with Client(url, token) as client:
        assert client.campaigns.export_best_bundle(won.campaign_id) == answer.content
        assert client.candidates.export_bundle(winner) == answer.content


def test_a_bundle_is_refused_where_a_module_is(api: httpx2.Client, sessions: Sessions) -> None:
    lost = played(sessions, -0.5)
    path = f"/v1/campaigns/{lost.campaign_id}/best/export/bundle"
    assert api.get(path).json()["type"] == "urn:discovery:problem:no_confirmed_discovery"
    with zipfile.ZipFile(io.BytesIO(api.get(path, params={"unconfirmed": True}).content)) as archive:
        assert "**CONFIRMED WORSE than dpo by 0.4" in archive.read("NOTICE.md").decode()
        assert json.loads(archive.read("provenance.json"))["is_confirmed"] is False
    assert api.get(f"/v1/candidates/{uuid4()}/export/bundle").status_code == 404


def test_without_a_discovery_the_best_finalist_is_told_of_and_leaves_only_as_what_it_is(
    api: httpx2.Client, sessions: Sessions
) -> None:
    lost = played(sessions, -0.5)
    path = f"/v1/campaigns/{lost.campaign_id}/best/export/module"
    refused = api.get(path)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:discovery:problem:no_confirmed_discovery")
    standing = refused.json()["standing"]
    stored = lost.standings(Purpose.CONFIRM)["cdpo"]
    assert (standing["name"], standing["stage"], standing["lower"]) == ("cdpo", "confirm", stored.lower)
    assert "The best finalist is cdpo, which is worse than dpo; with `unconfirmed` (" in refused.json()["detail"]
    taken = api.get(path, params={"unconfirmed": True})
    assert taken.status_code == 200
    assert "CONFIRMED WORSE than dpo by 0.4" in taken.text
    assert "UNCONFIRMED" not in taken.text
    assert 'NAME = "cdpo"' in taken.text


def test_a_loss_that_its_rounds_halving_stopped_says_on_what_it_was_tuned(
    api: httpx2.Client, sessions: Sessions
) -> None:
    play = played(sessions, 0.5, rounds=[("exp", "lrml")])
    (slots,) = [each for each in play.stopped() if each]
    stopped = ("exp", "lrml")[slots[0]]
    text = " ".join(api.get(f"/v1/candidates/{id_of(play, stopped)}/export/module").text.split())
    assert "table (where it was searched), tuned only: 7 trainings on 1 tune draw. The halving of its round" in text
    assert "Nowhere" not in text


def test_a_loss_of_the_library_is_never_the_best(api: httpx2.Client, sessions: Sessions) -> None:
    play = Play(sessions, table({"ipo": 0.9}), rounds=(), library=("dpo", "ipo"))
    play.run()
    refused = api.get(f"/v1/campaigns/{play.campaign_id}/best/export/module", params={"unconfirmed": True})
    assert (refused.status_code, refused.json()["standing"]) == (409, None)


def test_a_loss_that_was_only_screened_is_called_no_finalist(api: httpx2.Client, sessions: Sessions) -> None:
    play = played(sessions, -0.5, is_search_over=False)
    refused = api.get(f"/v1/campaigns/{play.campaign_id}/best/export/module").json()
    assert "The best screened loss is cdpo" in refused["detail"]
    assert refused["standing"]["stage"] == "screen"


def test_a_known_loss_that_a_person_sent_is_never_the_best(api: httpx2.Client, sessions: Sessions) -> None:
    play = Play(sessions, table({"ipo": 0.9, "exp": -0.9}), rounds=[("exp",)], library=["dpo"], is_search_over=False)
    play.add_round(["ipo"], author=Author.HUMAN, twin={"name": "ipo", "cosine": 1.0, "library": "ipo"})
    play.run()
    refused = api.get(f"/v1/campaigns/{play.campaign_id}/best/export/module").json()
    assert refused["standing"]["name"] == "exp"


def test_what_has_not_passed_the_gate_cannot_be_exported(api: httpx2.Client, sessions: Sessions) -> None:
    with sessions.begin() as session:
        candidate = rows.add_candidate(session, rows.add_campaign(session), status=CandidateStatus.PROPOSED)
    assert api.get(f"/v1/candidates/{candidate.id}/export/module").status_code == 409


def test_what_is_not_there_cannot_be_exported_whatever_it_was(api: httpx2.Client, sessions: Sessions) -> None:
    with sessions.begin() as session:
        deleted = rows.add_campaign(session)
        deleted.deleted_at = func.now()
        candidates = [rows.add_candidate(session, deleted, status=status) for status in CandidateStatus]
    for candidate_id in (uuid4(), *(each.id for each in candidates)):
        assert api.get(f"/v1/candidates/{candidate_id}/export/module").status_code == 404


def test_exports_need_their_own_scope(url: str, sessions: Sessions, won: Play) -> None:
    for scope, code in ((Scope.EXPORTS_READ, 200), (Scope.CAMPAIGNS_READ, 403)):
        with client_of(url, make_key(sessions, scope)) as client:
            for form in ("module", "bundle"):
                assert client.get(f"/v1/campaigns/{won.campaign_id}/best/export/{form}").status_code == code

"""The leaderboard over the wire: of all campaigns, page by page, against another loss, as a file."""

import base64
import csv
import json
from io import StringIO
from statistics import fmean
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import select, update

from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Arena, Campaign, Candidate, Evaluation, Measurement, Standing
from discovery_service.domain.intervals import find_interval
from discovery_service.domain.states import Purpose
from discovery_service.engine.exports import find_best, read_facts
from tests.engine.playing import ELSEWHERE, Play, table

LIBRARY = ("dpo", "ipo", "slic")
MERITS = {"cdpo": 0.5, "ipo": 0.2, "exp": -0.3, "lrml": 0.1}


def searched(sessions: Sessions, merits: dict[str, float], rounds: list[tuple[str, ...]], **given: Any) -> Play:
    play = Play(sessions, table(merits), rounds=rounds, library=LIBRARY, **given)
    play.run()
    return play


@pytest.fixture
def two(sessions: Sessions) -> tuple[Play, Play]:
    """Of which each found something else in the same arena."""
    first = searched(sessions, MERITS, [("cdpo", "exp"), ("lrml",)], name="first")
    return first, searched(sessions, {"robust_dpo": 0.8, "aot": -0.2}, [("robust_dpo", "aot")], name="second")


def ask(api: httpx2.Client, **params: Any) -> list[dict[str, Any]]:
    answer = api.get("/v1/leaderboard", params=params)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def test_losses_of_all_campaigns_stand_on_one_board_the_confirmed_ones_first(
    api: httpx2.Client, two: tuple[Play, Play]
) -> None:
    rows = ask(api)
    names = [(each["name"], each["campaign_id"]) for each in rows]
    first, second = (str(play.campaign_id) for play in two)
    assert names[:2] == [("robust_dpo", second), ("cdpo", first)]
    assert [each["rank"] for each in rows] == list(range(1, len(rows) + 1))
    assert {each["author"] for each in rows} == {"symbolic"}
    screened = rows[2:]
    assert all(each["confirm"] is None for each in screened)
    bounds = [each["screen"]["lower"] for each in screened]
    assert bounds == sorted(bounds, reverse=True)
    assert {each["campaign"] for each in rows} == {"first", "second"}


def test_with_the_library_each_campaigns_own_is_on_the_board(api: httpx2.Client, two: tuple[Play, Play]) -> None:
    rows = ask(api, include="library")
    assert sum(each["author"] == "library" for each in rows) == 2 * len(LIBRARY)
    unranked = [each["name"] for each in rows if each["rank"] is None]
    assert unranked == ["dpo", "dpo"]


def test_a_board_may_be_of_one_campaign_of_one_stage_and_of_one_arena(
    api: httpx2.Client, sessions: Sessions, two: tuple[Play, Play]
) -> None:
    apart = searched(sessions, {"cdpo": 0.4}, [("cdpo",)], held_out=[ELSEWHERE])
    first = two[0].campaign_id
    assert {each["campaign_id"] for each in ask(api, campaign=first)} == {str(first)}
    confirmed = ask(api, campaign=first, stage="confirm")
    assert [each["name"] for each in confirmed] == ["cdpo"]
    screened = ask(api, campaign=first, stage="screen")
    assert [each["name"] for each in screened] == sorted(
        two[0].standings(Purpose.SCREEN).keys() - set(LIBRARY),
        key=lambda name: -two[0].standings(Purpose.SCREEN)[name].lower,
    )
    assert [(each["arena"], each["name"]) for each in ask(api, arena=ELSEWHERE)] == [(ELSEWHERE, "cdpo")]
    # Each arena has ranks of its own: differences of two do not compare.
    ranks = [(each["arena"], each["rank"]) for each in ask(api, campaign=apart.campaign_id)]
    assert ranks == [(ELSEWHERE, 1), ("table", 1)]
    unknown = api.get("/v1/leaderboard", params={"arena": "nowhere"})
    assert unknown.status_code == 422
    assert "losses stand in elsewhere, table" in unknown.text
    assert api.get("/v1/leaderboard", params={"campaign": str(uuid4())}).status_code == 404


def test_a_deleted_campaign_is_off_the_board(api: httpx2.Client, two: tuple[Play, Play]) -> None:
    assert api.delete(f"/v1/campaigns/{two[1].campaign_id}").status_code == 204
    assert {each["campaign_id"] for each in ask(api)} == {str(two[0].campaign_id)}


def test_pages_follow_each_other_without_a_gap(
    api: httpx2.Client, url: str, token: str, two: tuple[Play, Play]
) -> None:
    every: tuple[dict[str, str], ...] = ({}, {"stage": "screen"}, {"stage": "confirm"}, {"include": "library"})
    for params in every:
        whole = ask(api, **params)
        for limit in (1, 2, 3):
            assert read_pages(api, limit=limit, **params) == whole
        asked: dict[str, Any] = {name: [value] if name == "include" else value for name, value in params.items()}
        with Client(url, token) as client:
            listed = [each.model_dump(mode="json") for each in client.leaderboard.list(**asked, limit=2)]
        assert listed == whole


def read_pages(api: httpx2.Client, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = api.get("/v1/leaderboard", params={**params, **after}).json()
        assert len(page["data"]) <= params["limit"]
        rows += page["data"]
        if not page["has_more"]:
            return rows
        after = {"after": page["next"]}


def test_equal_bounds_stand_in_the_order_in_which_they_were_proposed_and_page_so(
    api: httpx2.Client, url: str, token: str, sessions: Sessions
) -> None:
    play = Play(sessions, lambda *_: 0.0, rounds=[("cdpo", "exp", "aot"), ("lrml", "sppo")], library=["dpo"])
    play.run()
    path = f"/v1/campaigns/{play.campaign_id}/leaderboard"
    whole = api.get(path).json()["rows"]
    places = [(each["rank"] is None, each["confirm"] is None, each["round"], each["slot"]) for each in whole]
    assert places == sorted(places)
    with Client(url, token) as client:
        paged = client.campaigns.leaderboard(play.campaign_id, limit=1)
    assert [each.model_dump(mode="json") for each in paged.rows] == whole


def place(**changes: object) -> str:
    values = {"arena": str(uuid4()), "part": "rest", "lower": 0.0, "campaign": str(uuid4())}
    numbers = {"round": 1, "slot": 0, "position": 0}
    return base64.urlsafe_b64encode(json.dumps([*(values | numbers | changes).values()]).encode()).decode()


@pytest.mark.parametrize(
    "after",
    [
        *("nonsense", "W10", "WzEsIDJd", "\u2665", "W1tb" * 5_000),
        *(place(round=10**30), place(slot=-1), place(position=-1)),
    ],
)
def test_a_place_that_no_board_has_is_refused(api: httpx2.Client, after: str) -> None:
    answer = api.get("/v1/leaderboard", params={"after": after})
    assert answer.status_code == 422
    assert "take the `next` of the page before" in answer.text


def test_a_place_of_another_board_is_refused(api: httpx2.Client, sessions: Sessions) -> None:
    searched(sessions, {"cdpo": 0.4}, [("cdpo", "exp")], held_out=[ELSEWHERE])
    behind = api.get("/v1/leaderboard", params={"arena": "table", "limit": 1}).json()["next"]
    assert api.get("/v1/leaderboard", params={"arena": ELSEWHERE, "after": behind}).status_code == 422
    assert api.get("/v1/leaderboard", params={"arena": "table", "stage": "screen", "after": behind}).status_code == 422


def test_an_extension_that_is_not_measured_takes_nothing_from_an_earlier_verdict(
    api: httpx2.Client, url: str, token: str, sessions: Sessions
) -> None:
    play = searched(sessions, {"cdpo": 0.5}, [("cdpo", "exp")])
    path = f"/v1/campaigns/{play.campaign_id}"
    before = api.get(f"{path}/leaderboard").json()["rows"]
    with sessions.begin() as session:
        mine = (Standing.campaign_id == play.campaign_id, Standing.stage == Purpose.CONFIRM)
        for each in session.scalars(select(Standing).where(*mine)).all():
            columns = {name: getattr(each, name) for name in ("candidate_id", "campaign_id", "arena_id", "stage")}
            figures = {"role": each.figures["role"], "failed": []}
            session.add(Standing(**columns, extension=1, setting=each.setting, draws=3, figures=figures))
    assert api.get(f"{path}/leaderboard").json()["rows"] == before
    assert [each["name"] for each in ask(api, stage="confirm")] == ["cdpo"]
    with sessions() as session:
        best = find_best(session, play.campaign_id)
        assert best is not None
        assert (best.row.candidate.name, best.row.confirm and best.row.confirm.verdict) == ("cdpo", "better than")
        facts = read_facts(session, session.get_one(Candidate, best.row.candidate.id))
    assert (facts.is_confirmed, facts.evaluated[0].is_confirmation) == (True, True)
    found = api.get(f"/v1/candidates/{best.row.candidate.id}/lineage").json()
    assert [each["confirm"]["lower"] is not None for each in found["losses"] if each["name"] == "cdpo"] == [True]


def test_a_stage_and_a_held_out_arena_show_only_what_stands_there(api: httpx2.Client, sessions: Sessions) -> None:
    play = searched(sessions, {"cdpo": 0.4}, [("cdpo", "exp", "aot", "lrml")], held_out=[ELSEWHERE])
    path = f"/v1/campaigns/{play.campaign_id}/leaderboard"

    def names(**params: str) -> list[str]:
        return [each["name"] for each in api.get(path, params=params).json()["rows"] if each["author"] != "library"]

    assert len(names()) == 4
    assert names(arena=ELSEWHERE) == names(stage="confirm") == ["cdpo"]
    assert 1 <= len(names(stage="screen")) < 4


def test_the_level_of_each_interval_stands_beside_it(api: httpx2.Client, two: tuple[Play, Play]) -> None:
    for each in ask(api, include="library"):
        for score in (each["screen"], each["confirm"]):
            assert score is None or (score["level"] is None) == (score["lower"] is None)
    (best,) = ask(api, stage="confirm", campaign=two[0].campaign_id)
    stored = two[0].standings(Purpose.CONFIRM)["cdpo"].figures["against"]["dpo"]["level"]
    assert best["confirm"]["level"] == stored


def test_two_versions_of_an_arena_can_be_told_apart(
    api: httpx2.Client, sessions: Sessions, two: tuple[Play, Play]
) -> None:
    with sessions() as session:
        contents = set(session.scalars(select(Arena.content_sha256).where(Arena.name == "table")))
    assert {each["arena_sha256"] for each in ask(api)} == contents


def values_of(play: Play, name: str) -> dict[tuple[int, str], float]:
    """What was screened of a loss, by base policy and draw."""
    query = (
        select(Evaluation.base_policy, Evaluation.draw, Measurement.metrics)
        .join(Measurement, Measurement.id == Evaluation.measurement_id)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .where(Evaluation.campaign_id == play.campaign_id, Evaluation.purpose == Purpose.SCREEN, Candidate.name == name)
    )
    with play.sessions() as session:
        return {(policy, draw): metrics["J"] for policy, draw, metrics in session.execute(query)}


def test_against_another_loss_of_the_library_differences_are_paired_with_it(
    api: httpx2.Client, two: tuple[Play, Play]
) -> None:
    play = two[0]
    path = f"/v1/campaigns/{play.campaign_id}/leaderboard"
    body = api.get(path, params={"against": "slic", "stage": "screen"}).json()
    assert body["against"] == "slic"
    ours, theirs = values_of(play, "cdpo"), values_of(play, "slic")
    expected = find_interval([ours[at] - theirs[at] for at in ours])
    [row] = [each for each in body["rows"] if each["name"] == "cdpo"]
    screen = row["screen"]
    assert screen["difference"] == pytest.approx(fmean(ours[at] - theirs[at] for at in ours))
    assert (screen["lower"], screen["upper"]) == pytest.approx((expected.low, expected.high))
    ranked = [each["screen"]["lower"] for each in body["rows"] if each["rank"] is not None]
    assert ranked == sorted(ranked, reverse=True)
    [itself] = [each for each in body["rows"] if each["name"] == "slic"]
    assert (itself["rank"], itself["verdict"]) == (None, "what the others are compared with")


def test_what_was_confirmed_stands_only_to_the_references_that_were_frozen(
    api: httpx2.Client, two: tuple[Play, Play]
) -> None:
    path = f"/v1/campaigns/{two[0].campaign_id}/leaderboard"
    plain = api.get(path).json()["rows"][0]
    [met] = plain["confirm"]["against"]
    assert met["name"] == "ipo"
    first = api.get(path, params={"against": "ipo"}).json()["rows"][0]
    assert (first["name"], first["verdict"]) == ("cdpo", "better than ipo")
    told = {name: first["confirm"][name] for name in ("difference", "lower", "upper")}
    assert told == {name: met[name] for name in told}
    assert [each["name"] for each in first["confirm"]["against"]] == ["dpo"]
    rows = api.get(path, params={"against": "slic"}).json()["rows"]
    [row] = [each for each in rows if each["name"] == "cdpo"]
    assert row["confirm"]["difference"] is None
    assert row["verdict"] == "no verdict: it was not confirmed against slic"


def test_a_board_against_another_loss_pages_too_and_is_of_one_campaign(
    api: httpx2.Client, url: str, token: str, two: tuple[Play, Play]
) -> None:
    path = f"/v1/campaigns/{two[0].campaign_id}/leaderboard"
    whole = api.get(path, params={"against": "ipo"}).json()["rows"]
    with Client(url, token) as client:
        paged = client.campaigns.leaderboard(two[0].campaign_id, against="ipo", limit=2)
    assert [each.model_dump(mode="json") for each in paged.rows] == whole
    assert [each["name"] for each in ask(api, campaign=two[0].campaign_id, against="ipo")] == [
        each["name"] for each in whole if each["author"] != "library" and (each["screen"] or each["confirm"])
    ]
    several = api.get("/v1/leaderboard", params={"against": "ipo"})
    assert (several.status_code, "name one campaign" in several.text) == (422, True)
    unknown = api.get(path, params={"against": "simpo"})
    assert (unknown.status_code, "it has dpo, ipo, slic" in unknown.text) == (422, True)


def test_a_spreadsheet_gets_every_row_of_all_pages_and_no_formula(
    api: httpx2.Client, sessions: Sessions, two: tuple[Play, Play]
) -> None:
    with sessions.begin() as session:
        session.execute(update(Campaign).where(Campaign.id == two[0].campaign_id).values(name="=1+1"))
    for path, key in (("/v1/leaderboard", "data"), (f"/v1/campaigns/{two[0].campaign_id}/leaderboard", "rows")):
        shown = api.get(path).json()[key]
        answer = api.get(path, params={"limit": 1}, headers={"Accept": "text/csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(StringIO(answer.text)))
        assert [each["candidate_id"] for each in rows] == [each["candidate_id"] for each in shown]
        assert {each["campaign"] for each in rows} <= {"'=1+1", "second"}
        best = next(each for each in rows if each["name"] == "cdpo")
        stored = two[0].standings(Purpose.CONFIRM)["cdpo"]
        assert float(best["confirm_lower"]) == stored.lower
        assert float(best["screen_lower"]) == two[0].standings(Purpose.SCREEN)["cdpo"].lower
        assert (best["confirm_verdict"], best["against"]) == ("better than", "dpo")


def test_who_takes_json_as_well_gets_json(api: httpx2.Client, two: tuple[Play, Play]) -> None:
    answer = api.get("/v1/leaderboard", headers={"Accept": "text/csv, application/json"})
    assert answer.headers["content-type"] == "application/json"

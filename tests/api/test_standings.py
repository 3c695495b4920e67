"""How the losses of a campaign stand, over the wire."""

from uuid import uuid4

import httpx2

from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Standing
from discovery_service.domain.access import Scope
from discovery_service.domain.states import Purpose
from tests import rows
from tests.api.serving import client_of, make_key
from tests.engine.playing import Play, table
from tests.engine.test_references import misled


def test_screen_freeze_and_confirmation_are_told_apart(
    api: httpx2.Client, url: str, token: str, sessions: Sessions
) -> None:
    play = Play(sessions, table({"cdpo": 0.5}), rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    answer = api.get(f"/v1/campaigns/{play.campaign_id}/standings")
    assert answer.status_code == 200
    body = answer.json()
    screen, confirm = ({each["name"]: each for each in body[stage]} for stage in ("screen", "confirm"))
    # The best first, and DPO, which has no difference to itself, last.
    assert list(screen) == ["cdpo", "ipo", "dpo"]
    assert (screen["dpo"]["difference"], screen["cdpo"]["verdict"]) == (None, None)
    assert len(screen["cdpo"]["figures"]["curve"]) == 7
    stored = play.standings(Purpose.CONFIRM)["cdpo"]
    told = confirm["cdpo"]
    assert (told["verdict"], told["lower"], told["upper"]) == ("better than", stored.lower, stored.upper)
    assert (told["author"], told["arena"], told["stage"], told["draws"]) == ("symbolic", "table", "confirm", 9)
    (freeze,) = body["freezes"]
    roles = {each["name"]: each["role"] for each in freeze["finalists"]}
    assert roles == {"cdpo": "finalist", "dpo": "reference", "ipo": "reference"}
    assert (freeze["plan"]["draws"], len(freeze["digest"]), freeze["sealed_at"] is not None) == (9, 64, True)
    with Client(url, token) as client:
        assert client.campaigns.standings(play.campaign_id).model_dump(mode="json") == body


def test_a_reference_that_is_frozen_at_several_settings_is_told_at_the_chosen_one_first(
    api: httpx2.Client, sessions: Sessions
) -> None:
    play = Play(sessions, misled, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    (freeze,) = api.get(f"/v1/campaigns/{play.campaign_id}/standings").json()["freezes"]
    told = [(each["name"], each["rank"], each["setting"]["beta"]) for each in freeze["finalists"]]
    assert told == [("cdpo", 0, 1), ("dpo", 0, 2), ("dpo", 1, 1), ("ipo", 0, 1)]


def test_a_campaign_that_has_measured_nothing_has_none(api: httpx2.Client, sessions: Sessions) -> None:
    with sessions.begin() as session:
        made = rows.add_campaign(session)
        other = rows.add_campaign(session)
        candidate = rows.add_candidate(session, other)
        arena_id = rows.find_or_add_arena(session).id
        setting = {"beta": 1.0, "learning_rate": 0.001, "steps": 8}
        columns = {"candidate_id": candidate.id, "arena_id": arena_id, "setting": setting, "draws": 3, "figures": {}}
        session.add(Standing(campaign_id=other.id, stage="screen", **columns))
    assert api.get(f"/v1/campaigns/{made.id}/standings").json() == {
        "against": "dpo",
        "screen": [],
        "confirm": [],
        "freezes": [],
    }
    assert api.get(f"/v1/campaigns/{uuid4()}/standings").status_code == 404


def test_whoever_may_read_campaigns_reads_them(url: str, sessions: Sessions) -> None:
    with sessions.begin() as session:
        made = rows.add_campaign(session)
    for scope, code in ((Scope.CAMPAIGNS_READ, 200), (Scope.EXPORTS_READ, 403)):
        with client_of(url, make_key(sessions, scope)) as client:
            assert client.get(f"/v1/campaigns/{made.id}/standings").status_code == code

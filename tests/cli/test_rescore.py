"""`discovery rescore` on a database, without a server."""

from pathlib import Path

from sqlalchemy import delete, update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Standing
from discovery_service.domain.states import Purpose
from discovery_service.local.state import ApiAccess, write_api_access
from tests.cli.conftest import Command
from tests.conftest import Database
from tests.engine.playing import Play, table


def test_the_command_tells_what_differed_and_mends_it(
    sessions: Sessions, discovery: Command, database: Database
) -> None:
    play = Play(sessions, table({"cdpo": 0.5}), rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    env = {"DISCOVERY__DB__URL": database.service_url}
    ran = discovery("rescore", "--json", env=env)
    assert (ran.code, ran.json["standings"], ran.json["differed"]) == (0, 6, 0)
    with play.sessions.begin() as session:
        session.execute(delete(Standing).where(Standing.stage == "confirm"))
        session.execute(update(Standing).values(verdict="better than"))
    damaged = discovery("rescore", str(play.campaign_id), env=env)
    assert damaged.code == 1
    assert "6 standings of 1 campaigns rebuilt; 6 differed" in damaged.out
    assert str(play.campaign_id) in damaged.err
    assert discovery("rescore", str(play.campaign_id), env=env).code == 0
    unknown = discovery("rescore", str(play.worker_id), env=env)
    assert (unknown.code, unknown.err.strip()) == (2, f"There is no campaign {play.worker_id}.")
    assert play.standings(Purpose.CONFIRM)["cdpo"].verdict == "better than"
    assert {row.verdict for row in play.standings(Purpose.SCREEN).values()} == {None}


def test_the_database_of_the_local_stack_is_found(
    sessions: Sessions, discovery: Command, database: Database, tmp_path: Path
) -> None:
    played = Play(sessions, table({"cdpo": 0.5}), rounds=[("cdpo",)], library=("dpo", "ipo"))
    played.run()
    ran = discovery("rescore")
    assert ran.code == 2
    assert ran.err.startswith("No database is known. Set DISCOVERY__DB__URL, or start one here with `discovery up`")
    write_api_access(tmp_path, ApiAccess("http://127.0.0.1:1", "dls_x", database.service_url))
    assert discovery("rescore", "--json").json["differed"] == 0
    assert discovery("prompt", str(played.worker_id)).err.startswith("There is no campaign")
    gone = database.service_url.replace("host=", "host=/nowhere")
    write_api_access(tmp_path, ApiAccess("http://127.0.0.1:1", "dls_x", gone))
    assert discovery("rescore").err.rstrip().endswith("Does `discovery up` run?")


def test_a_campaign_that_cannot_be_read_is_named_and_the_others_are_rebuilt(
    sessions: Sessions, discovery: Command, database: Database
) -> None:
    broken, sound = (Play(sessions, table({"cdpo": 0.5}), rounds=[("cdpo",)], library=("dpo", "ipo")) for _ in range(2))
    for play in (broken, sound):
        play.run()
    env = {"DISCOVERY__DB__URL": database.service_url}
    with sessions.begin() as session:
        campaign = session.get_one(Campaign, broken.campaign_id)
        campaign.spec = campaign.spec | {"seed": 7}
    ran = discovery("rescore", "--json", env=env)
    assert (ran.code, ran.json["standings"], ran.json["differed"]) == (6, 6, 0)
    assert list(ran.json["unreadable"]) == [str(broken.campaign_id)]
    assert f"{broken.campaign_id} could not be rebuilt" in ran.err
    with sessions.begin() as session:
        session.execute(update(Standing).where(Standing.campaign_id == sound.campaign_id).values(draws=1))
    assert discovery("rescore", env=env).code == 1

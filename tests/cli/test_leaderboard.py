"""`discovery leaderboard` and `discovery export` against a real API."""

from pathlib import Path

import pytest

from discovery_service.cli.leaderboard import draw_bar
from discovery_service.client import Client, Score
from discovery_service.db.sessions import Sessions
from discovery_service.domain.states import CandidateStatus
from tests import rows
from tests.api.test_exports import id_of, played
from tests.cli.conftest import Command
from tests.engine.playing import Play, table


def score(lower: float | None, mean: float | None, upper: float | None) -> Score:
    setting = {"beta": 1.0, "learning_rate": 0.001, "steps": 8}
    nothing = {"verdict": None, "attained": None, "reward": None, "kl": None, "failed": 0}
    bounds = {"difference": mean, "lower": lower, "upper": upper}
    return Score.model_validate(
        {"extension": 0, "setting": setting, "draws": 3, "base_policies": [0], **bounds, **nothing}
    )


def test_a_bar_lies_where_its_interval_does() -> None:
    bar = draw_bar(score(0.0, 0.5, 1.0), -1.0, 1.0)
    assert (bar.index("│"), bar.index("●"), len(bar)) == (10, 15, 21)
    assert draw_bar(score(-1.0, -1.0, -0.5), -1.0, 1.0).startswith("●──")
    assert draw_bar(score(None, 0.5, None), -1.0, 1.0) == ""


@pytest.mark.parametrize("stage", ["Confirmed", "Screened"])
def test_the_board_shows_no_number_without_its_interval(
    discovery: Command, api_env: dict[str, str], sessions: Sessions, stage: str
) -> None:
    play = played(sessions, 0.5)
    ran = discovery("leaderboard", play.campaign_id, env=api_env)
    assert ran.code == 0
    part = ran.out.partition(stage)[2].partition("Screened")[0]
    line = next(each for each in part.splitlines() if each.startswith("cdpo"))
    assert "●" in line
    assert " [+0." in line
    assert ("better than dpo" in line) is (stage == "Confirmed")


def test_a_find_that_is_no_better_than_the_best_known_loss_is_shown_beside_that(
    discovery: Command, api_env: dict[str, str], sessions: Sessions
) -> None:
    play = played(sessions, 0.5, merits={"ipo": 0.5})
    confirmed = discovery("leaderboard", play.campaign_id, env=api_env).out.partition("\nScreened")[0]
    head = next(each for each in confirmed.splitlines() if each.startswith("name"))
    line = next(each for each in confirmed.splitlines() if each.startswith("cdpo"))
    assert "less ipo" in head
    assert "better than dpo" in line
    assert "] not distinguishable from ipo" in line
    assert "Intervals less ipo are not joint with those less dpo; finds count by those less dpo." in confirmed


def test_who_was_stopped_or_refused_is_said_and_an_empty_table_is_not_shown(
    discovery: Command, api_env: dict[str, str], sessions: Sessions
) -> None:
    play = Play(sessions, table({"exp": 0.5}), rounds=[("exp", "lrml")], library=["dpo"], is_search_over=False)
    play.run()
    with sessions.begin() as session:
        rows.add_candidate(session, play.get_campaign(), status=CandidateStatus.REJECTED)
    shown = discovery("leaderboard", play.campaign_id, env=api_env).out
    assert "Of 3 candidates 1 was stopped at the halving of their rounds (lrml) and 1 was" in shown
    assert shown.count("Nothing is confirmed.") == 1
    assert "Confirmed on fresh draws" not in shown
    # No model was asked.
    assert "tokens" not in shown
    assert " trainings, " in shown


def test_of_a_campaign_that_has_not_begun_no_table_is_shown(
    discovery: Command, api_env: dict[str, str], client: Client
) -> None:
    campaign = client.campaigns.create(name="waits", spec={"arena": "panel"})
    shown = discovery("leaderboard", campaign.id, env=api_env).out
    assert shown.splitlines()[1:] == ["Nothing is confirmed."]


def test_json_is_what_the_service_says(
    discovery: Command, api_env: dict[str, str], sessions: Sessions, client: Client
) -> None:
    play = played(sessions, 0.5)
    told = discovery("leaderboard", play.campaign_id, "--json", env=api_env).json
    assert told == client.campaigns.leaderboard(play.campaign_id).model_dump(mode="json")


def test_a_board_may_be_of_all_campaigns_against_another_loss_or_for_a_spreadsheet(
    discovery: Command, api_env: dict[str, str], sessions: Sessions, client: Client
) -> None:
    empty = discovery("leaderboard", env=api_env)
    assert (empty.code, empty.out.strip()) == (0, "No loss stands anywhere yet.")
    first, second = played(sessions, 0.5), played(sessions, 0.3, name="second")
    every = discovery("leaderboard", env=api_env).out
    lines = [each.split()[:2] for each in every.splitlines() if each.startswith("cdpo")]
    assert lines == [["cdpo", "1"], ["cdpo", "2"]] * 2
    assert "second" in every
    assert "ipo " not in every.partition("Screened")[2]
    told = discovery("leaderboard", "--stage", "confirm", "--json", env=api_env).json
    assert told == [each.model_dump(mode="json") for each in client.leaderboard.list(stage="confirm")]
    beside = discovery("leaderboard", first.campaign_id, "--against", "ipo", env=api_env).out
    assert "In table, less ipo, which is the line in each bar." in beside
    assert "better than ipo" in beside
    sheet = discovery("leaderboard", second.campaign_id, "--csv", env=api_env).out
    assert [each.split(",")[1] for each in sheet.splitlines()] == ["name", "cdpo", "ipo", "dpo"]
    refused = discovery("leaderboard", "--against", "ipo", env=api_env)
    assert (refused.code, "name the campaign" in refused.err) == (2, True)


def test_export_writes_the_file_and_says_what_it_is(
    discovery: Command, api_env: dict[str, str], sessions: Sessions, client: Client, tmp_path: Path
) -> None:
    lost, file = played(sessions, -0.5), tmp_path / "loss.py"
    refused = discovery("export", "--campaign", lost.campaign_id, "--to", file, env=api_env)
    assert (refused.code, file.exists()) == (1, False)
    assert "with `unconfirmed` (`discovery export --unconfirmed`) it leaves as what it is." in refused.err
    ran = discovery("export", "--campaign", lost.campaign_id, "--unconfirmed", "--to", file, env=api_env)
    assert (ran.code, ran.out.strip()) == (0, str(file))
    assert "CONFIRMED WORSE than dpo by 0." in ran.err
    assert "Do not report it as a discovery." in ran.err
    assert file.read_bytes() == client.candidates.export_module(id_of(lost, "cdpo"))


def test_export_writes_a_bundle_and_says_what_its_loss_is(
    discovery: Command,
    api_env: dict[str, str],
    sessions: Sessions,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    lost = played(sessions, -0.5)
    ran = discovery("export", "--campaign", lost.campaign_id, "--unconfirmed", "--bundle", "--json", env=api_env)
    assert (ran.json["file"], ran.json["is_confirmed"]) == ("discovered_loss.zip", False)
    assert "CONFIRMED WORSE than dpo by 0." in ran.err
    assert Path("discovered_loss.zip").read_bytes() == client.candidates.export_bundle(id_of(lost, "cdpo"))


def test_export_wants_one_loss(discovery: Command, api_env: dict[str, str]) -> None:
    assert discovery("export", env=api_env).code == 2
    nameless = discovery("export", "--candidate", "cdpo", env=api_env)
    assert (nameless.code, "a name needs the --campaign that it is of" in nameless.err) == (2, True)


def test_export_takes_a_name_within_a_campaign(
    discovery: Command, api_env: dict[str, str], sessions: Sessions, client: Client, tmp_path: Path
) -> None:
    play, file = played(sessions, 0.5), tmp_path / "loss.py"
    for told in ("ipo", id_of(play, "ipo")):
        ran = discovery("export", "--campaign", play.campaign_id, "--candidate", told, "--to", file, env=api_env)
        assert (ran.code, file.read_bytes()) == (0, client.candidates.export_module(id_of(play, "ipo"))), ran.err
    unknown = discovery("export", "--campaign", play.campaign_id, "--candidate", "slic", "--to", file, env=api_env)
    assert (unknown.code, "is called slic; there are cdpo, ipo, dpo." in unknown.err) == (2, True)

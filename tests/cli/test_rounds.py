"""`discovery campaign propose|order|rounds|plan|extend` and `discovery round` against a real API."""

from pathlib import Path

import pytest

from discovery_service.client import Campaign, Client
from discovery_service.db.sessions import Sessions
from tests.cli.conftest import Command
from tests.engine.playing import table
from tests.engine.searching import OTHERS, Search, in_turn, say

SOURCE = "def mine(policy_chosen_logps, beta):\n    return -beta * policy_chosen_logps\n"


@pytest.fixture
def campaign(client: Client) -> Campaign:
    return client.campaigns.create(name="a search", spec={"arena": "panel", "budgets": {"candidates": 4}})


def test_a_file_is_proposed_as_it_is_and_waits(
    discovery: Command, api_env: dict[str, str], campaign: Campaign, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    ran = discovery("campaign", "propose", campaign.id, file, "--notes", "A hunch.", env=api_env)
    assert (ran.code, ran.out.split(" (")[0]) == (0, "mine waits for round 1"), ran.err
    other = SOURCE.replace("-beta", "-2 * beta")
    sent = discovery("campaign", "propose", campaign.id, "-", "--json", env=api_env, stdin=other).json
    said = {"name": "mine", "source": other, "notes": "", "values": {}, "entry": "mine"}
    assert (sent["request"], sent["slot"]) == (said, 1)
    again = discovery("campaign", "propose", campaign.id, file, env=api_env)
    assert (again.code, "The same text was sent already" in again.err) == (1, True)
    file.write_text("import os\n" + SOURCE)
    unusable = discovery("campaign", "propose", campaign.id, file, env=api_env)
    assert unusable.code == 2
    assert "is no loss of this campaign's family in line 1" in unusable.err
    missing = discovery("campaign", "propose", campaign.id, tmp_path / "none.py", env=api_env)
    assert missing.code == 2
    assert "cannot be read" in missing.err


def test_an_ordered_round_is_listed_as_it_waits(
    discovery: Command, api_env: dict[str, str], campaign: Campaign
) -> None:
    ran = discovery("campaign", "order", campaign.id, "--size", 2, "--guidance", "Be bold.", env=api_env)
    assert ran.out.startswith("Round 1 (")
    listed = discovery("campaign", "rounds", campaign.id, env=api_env).out
    assert "queued" in listed
    assert '{"size": 2, "guidance": "Be bold."}' in listed


def test_a_round_shows_what_was_asked_answered_refused_and_measured(
    discovery: Command, api_env: dict[str, str], sessions: Sessions
) -> None:
    def replies(number: int, slot: int, turn: int) -> str | None:
        return say("nonsense") if (slot, turn) == (1, 0) else in_turn()(number, slot, turn)

    search = Search(sessions, table({OTHERS[1]: 0.8}), replies, library=["dpo", "ipo"], budgets={"candidates": 2})
    search.search()
    rounds = discovery("campaign", "rounds", search.campaign_id, "--json", env=api_env).json
    assert [each["by_status"] for each in rounds] == [{"answered": 2}, {"answered": 2}]
    shown = discovery("round", rounds[1]["id"], env=api_env)
    assert shown.code == 0
    (won,) = [line for line in shown.out.splitlines() if OTHERS[1] in line]
    assert won.rstrip().endswith("better than")
    assert "1: nonsense was refused: There is no such name." in shown.out
    (lost,) = [line for line in shown.out.splitlines() if f"  {OTHERS[0]}  " in line]
    assert "stopped after its first tuning" in lost
    assert "stopped" not in won
    (refused,) = search.told("candidate.rejected")
    assert (refused["name"], refused["message"]) == ("nonsense", "There is no such name.")
    extended = discovery("campaign", "extend", search.campaign_id, "--budget", "candidates=3", env=api_env)
    assert extended.out.endswith("is running.\n"), extended.err
    again = discovery("campaign", "extend", search.campaign_id, "--budget", "candidates=9", env=api_env)
    assert (again.code, "A running campaign cannot be extended" in again.err) == (1, True)


def test_a_plan_says_what_it_takes_and_what_it_finds(
    discovery: Command, api_env: dict[str, str], tmp_path: Path, client: Client
) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text("name: x\nspec: {arena: panel, library: [dpo, ipo], budgets: {candidates: 8}}\n")
    ran = discovery("campaign", "plan", file, env=api_env)
    assert ran.code == 0, ran.err
    assert "8 in 2 rounds" in ran.out
    file.write_text(file.read_text().replace("candidates: 8", "candidates: 4"))
    shown = discovery("campaign", "plan", file, env=api_env).out.splitlines()[0]
    assert shown.split() == ["proposals", "4", "in", "1", "round"]
    assert "at most 198: library 6, search 84, confirmation 108, held out 0" in ran.out
    assert "smallest difference found: 0.196 (asked for: 0.2)" in ran.out
    assert discovery("campaign", "plan", file, "--json", env=api_env).json["binds_first"] == "candidates"
    assert list(client.campaigns.list()) == []


def test_a_plan_without_room_for_the_library_is_a_spec_that_cannot_be_used(
    discovery: Command, api_env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text("name: x\nspec: {arena: panel, library: [dpo, ipo], budgets: {evaluations: 20}}\n")
    ran = discovery("campaign", "plan", file, env=api_env)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        "Not even the library can be measured: it takes 6 evaluations and the end 108, and 20 are"
    )
    told = discovery("campaign", "plan", file, "--json", env=api_env)
    assert (told.code, told.json["binds_first"], told.json["confirmations"]) == (2, None, [])

"""`discovery campaign …` against a real API."""

import json
from pathlib import Path
from typing import Any

import pytest

from discovery_service.client import Campaign, Client
from discovery_service.db import tables
from discovery_service.db.sessions import Sessions
from discovery_service.domain.states import CampaignStatus, Purpose
from discovery_service.engine.campaigns import get_campaign, move
from tests.cli.conftest import Command
from tests.engine.playing import Play, table

SPEC = {"arena": "panel:mini", "budgets": {"candidates": 4, "cost_usd": 1.5}}


@pytest.fixture
def campaign(client: Client) -> Campaign:
    return client.campaigns.create(name="a search", spec=SPEC)


def test_create_takes_a_file_and_options_that_win(discovery: Command, api_env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text("name: from the file\nnotes: kept\nspec: {arena: plain, seed: 1, budgets: {candidates: 4}}\n")
    options = ["--name", "given", "--seed", 7, "--budget", "cost_usd=2.5", "--held-out", "fog", "--held-out", "terse"]
    made = discovery("campaign", "create", file, *options, "--json", env=api_env).json
    assert (made["name"], made["notes"], made["spec"]["arena"], made["spec"]["seed"]) == (
        "given",
        "kept",
        "plain:mini",
        7,
    )
    assert made["spec"]["held_out_arenas"] == ["fog:mini", "terse:mini"]
    assert (made["spec"]["budgets"]["candidates"], made["spec"]["budgets"]["cost_usd"]) == (4, 2.5)


def test_create_needs_no_file(discovery: Command, api_env: dict[str, str]) -> None:
    ran = discovery("campaign", "create", "--name", "x", "--arena", "panel", env=api_env)
    assert ran.code == 0
    assert "panel:mini" in ran.out
    assert "queued" in ran.out


@pytest.mark.parametrize("text", [json.dumps({"name": "x", "spec": SPEC}, indent="\t"), "name: x\nspec: {arena: fog}"])
def test_create_reads_standard_input(discovery: Command, api_env: dict[str, str], text: str) -> None:
    assert discovery("campaign", "create", "-", "--json", env=api_env, stdin=text).json["name"] == "x"


def test_create_without_name_or_arena_is_refused_before_anything_is_sent(
    discovery: Command, api_env: dict[str, str]
) -> None:
    ran = discovery("campaign", "create", "--name", "x")
    assert (ran.code, ran.out) == (2, "")
    assert "--arena" in ran.err
    nameless = discovery("campaign", "create", "--arena", "plain")
    assert (nameless.code, nameless.err.strip()) == (
        2,
        "The campaign has no name: give --name, or a FILE that says it.",
    )


def test_refused_fields_are_printed_each_with_what_is_allowed(discovery: Command, api_env: dict[str, str]) -> None:
    command = ["campaign", "create", "--name", "x", "--arena", "panel:huge", "--seed", -1]
    ran = discovery(*command, env=api_env)
    assert (ran.code, ran.out) == (2, "")
    assert "body.spec.arena: names no arena; there are plain:mini" in ran.err
    assert "body.spec.seed: " in ran.err
    problem = discovery(*command, "--json", env=api_env).json
    assert problem["status"] == 422
    assert {each["field"] for each in problem["errors"]} == {"body.spec.arena", "body.spec.seed"}


def test_list_shows_ids_whole_and_filters(discovery: Command, api_env: dict[str, str], client: Client) -> None:
    made = [client.campaigns.create(name=f"number {number}", spec=SPEC) for number in range(3)]
    client.campaigns.cancel(made[0].id)
    ran = discovery("campaign", "list", "--limit", 2, env=api_env)
    assert [str(each.id) in ran.out for each in made] == [False, True, True]
    listed = discovery("campaign", "list", "--status", "cancelled", "--status", "failed", "--json", env=api_env).json
    assert [each["id"] for each in listed] == [str(made[0].id)]
    client.campaigns.archive(made[0].id)
    assert len(discovery("campaign", "list", "--archived", "--json", env=api_env).json) == 1


def test_show_prints_what_the_api_has(discovery: Command, api_env: dict[str, str], campaign: Campaign) -> None:
    shown = discovery("campaign", "show", campaign.id, "--json", env=api_env).json
    assert Campaign.model_validate(shown) == campaign
    text = discovery("campaign", "show", campaign.id, env=api_env).out
    assert "a search" in text
    assert "candidates=4, cost_usd=1.5" in text


def test_edit_leaves_the_other_budgets_as_they_are(
    discovery: Command, api_env: dict[str, str], campaign: Campaign
) -> None:
    command = ["campaign", "edit", campaign.id, "--notes", "new", "--budget", "candidates=9"]
    edited = discovery(*command, "--json", env=api_env).json
    assert edited["notes"] == "new"
    assert (edited["spec"]["budgets"]["candidates"], edited["spec"]["budgets"]["cost_usd"]) == (9, 1.5)
    lifted = discovery("campaign", "edit", campaign.id, "--budget", "cost_usd=none", "--json", env=api_env).json
    assert lifted["spec"]["budgets"]["cost_usd"] is None


@pytest.mark.parametrize("options", [[], ["--budget", "candidates"], ["--budget", "=3"], ["--budget", "tokens=many"]])
def test_edit_refuses_what_says_nothing(discovery: Command, api_env: dict[str, str], options: list[str]) -> None:
    assert discovery("campaign", "edit", "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e", *options, env=api_env).code == 2


def test_commands_tell_the_status_that_they_made(
    discovery: Command, api_env: dict[str, str], campaign: Campaign
) -> None:
    def status_after(command: str) -> str:
        ran = discovery("campaign", command, campaign.id, env=api_env)
        assert ran.code == 0, ran.err
        return ran.out.split(" is ")[1].rstrip(".\n")

    assert "what runs may still end" in discovery("campaign", "pause", campaign.id, env=api_env).err
    commands = ("pause", "resume", "cancel", "archive", "unarchive", "delete")
    told = [status_after(command) for command in commands]
    assert told == ["paused", "queued", "cancelled", "cancelled, archived", "cancelled", "deleted"]
    assert discovery("campaign", "list", "--json", env=api_env).json == []


def test_clone_makes_another(discovery: Command, api_env: dict[str, str], campaign: Campaign) -> None:
    cloned = discovery("campaign", "clone", campaign.id, "--name", "twin", "--json", env=api_env).json
    assert (cloned["name"], cloned["cloned_from"]) == ("twin", str(campaign.id))


def test_watch_prints_a_line_an_event_until_the_end(
    discovery: Command, api_env: dict[str, str], client: Client, campaign: Campaign
) -> None:
    client.campaigns.cancel(campaign.id)
    ran = discovery("campaign", "watch", campaign.id, env=api_env)
    assert ran.code == 0
    assert [line.split()[2] for line in ran.out.splitlines()] == [
        "campaign.created",
        "campaign.cancelling",
        "campaign.cancelled",
    ]
    assert "cancelled" in ran.err


def fail(sessions: Sessions, campaign: Campaign) -> None:
    with sessions.begin() as session:
        move(session, get_campaign(session, campaign.id, lock=True), CampaignStatus.FAILED, "The model is gone.")


def test_watch_ends_with_3_when_the_campaign_has_failed(
    discovery_process: Command, api_env: dict[str, str], campaign: Campaign, sessions: Sessions
) -> None:
    fail(sessions, campaign)
    ran = discovery_process("campaign", "watch", campaign.id, "--json", env=api_env)
    assert ran.code == 3
    events: list[dict[str, Any]] = [json.loads(line) for line in ran.out.splitlines()]
    assert events[-1]["kind"] == "campaign.failed"
    assert "The model is gone." in ran.err


def test_a_name_cannot_steer_the_terminal(
    discovery: Command, api_env: dict[str, str], client: Client, sessions: Sessions
) -> None:
    made = client.campaigns.create(name="[red] [2Jgone[/red]", spec=SPEC)
    # No name that is sent today has such a character; one that is stored may.
    with sessions.begin() as session:
        session.get_one(tables.Campaign, made.id).name = "[red]\x1b[2Jgone[/red]"
    text = discovery("campaign", "list", env=api_env).out
    assert "\x1b" not in text
    assert "[red]\N{REPLACEMENT CHARACTER}[2Jgone[/red]" in text


def test_standings_show_the_screen_the_freeze_and_what_was_confirmed(
    discovery: Command, api_env: dict[str, str], sessions: Sessions
) -> None:
    play = Play(sessions, table({"cdpo": 0.5}), rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run()
    ran = discovery("campaign", "standings", play.campaign_id, env=api_env)
    assert ran.code == 0
    screened, frozen, confirmed = ran.out.split("\n\n")
    assert "better than" not in screened
    assert "cdpo (finalist), dpo (reference at beta 1, rate 0.0015, 120 steps), dpo (reference at beta " in frozen
    assert ", ipo (reference); 9 draws" in frozen
    (line,) = [each for each in confirmed.splitlines() if each.startswith("cdpo")]
    row = play.standings(Purpose.CONFIRM)["cdpo"]
    assert f"[{row.lower:.3g}, {row.upper:.3g}]" in line
    assert line.rstrip().endswith("better than")
    found = discovery("campaign", "standings", play.campaign_id, "--json", env=api_env).json
    assert [each["name"] for each in found["confirm"]] == ["cdpo", "dpo", "ipo"]

"""`discovery candidate …` against a real API."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from discovery_service.cli.show_candidate import draw_blocks
from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate, Lineage
from discovery_service.domain.families import Family
from discovery_service.domain.states import CandidateStatus
from discovery_service.losses.described import list_described
from tests import rows
from tests.api.test_exports import id_of, played
from tests.cli.conftest import Command
from tests.engine.playing import Play

HOSTILE = "\x1b]0;owned\x07"


@pytest.fixture
def won(sessions: Sessions) -> Play:
    play = played(sessions, 0.5)
    with sessions.begin() as session:
        for each in session.scalars(select(Candidate).where(Candidate.campaign_id == play.campaign_id)):
            known = list_described(Family.PAIRWISE)[each.name]
            each.passport = {**known.passport, "curve": known.curve}
            each.formula, each.neighbours = known.formula, list(known.neighbours)
    return play


def add_loss(sessions: Sessions, **values: Any) -> UUID:
    with sessions.begin() as session:
        return rows.add_candidate(session, rows.add_campaign(session), **values).id


def test_a_loss_is_shown_with_what_the_gate_found_and_no_number_without_its_interval(
    discovery: Command, api_env: dict[str, str], won: Play
) -> None:
    ran = discovery("candidate", "show", "cdpo", "--campaign", won.campaign_id, env=api_env)
    assert ran.code == 0, ran.err
    facts, _, stands = ran.out.partition("Screened, which confirms nothing")
    assert str(id_of(won, "cdpo")) in facts
    assert list_described(Family.PAIRWISE)["cdpo"].formula in facts
    assert "At z = 0 it is 0.693 and falls" in facts
    drawn = {line[: line.index("  ")]: line for line in facts.splitlines() if line.startswith("f")}
    assert list(drawn)[-4:] == ["f(z) of cdpo", "f(z) of dpo", "f'(z) of cdpo", "f'(z) of dpo"]
    # The whole scale is between the two losses' ends: DPO is the higher one at the left.
    assert "█" in drawn["f(z) of dpo"]
    assert "█" not in drawn["f(z) of cdpo"]
    screened, _, confirmed = stands.partition("Confirmed on fresh draws")
    for part in (screened, confirmed):
        told = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in part.splitlines()}
        assert told["arena"] == "table"
        for figure in ("less dpo", "reward", "KL"):
            assert told[figure].count("[") == told[figure].count("]") == 1
    assert "better than dpo" in confirmed
    assert "better than dpo" not in screened


def test_a_refused_loss_says_why(discovery: Command, api_env: dict[str, str], sessions: Sessions) -> None:
    first = {"code": "unknown_input", "message": "There is no input `margins`.", "line": 3}
    refusal = {**first, "all": [first]}
    candidate_id = add_loss(
        sessions, name=f"bad{HOSTILE}", status=CandidateStatus.REJECTED, refusal=refusal, source=f"# {HOSTILE}\n"
    )
    shown = discovery("candidate", "show", candidate_id, env=api_env)
    assert "refused: line 3, unknown_input: There is no input `margins`." in shown.out
    source = discovery("candidate", "source", candidate_id, env=api_env)
    assert "has not passed the gate: this is what was sent." in source.err
    relatives = discovery("candidate", "lineage", candidate_id, env=api_env)
    for ran in (shown, source, relatives):
        assert (ran.code, "owned" in ran.out) == (0, True)
        assert not {"\x1b", "\x07"} & {*ran.out, *ran.err}


def test_source_goes_into_a_pipe_as_it_runs_and_is_coloured_on_a_terminal(
    discovery: Command, api_env: dict[str, str], sessions: Sessions
) -> None:
    sent = "def loss(beta):\r\n\treturn beta * 2\r\n"
    candidate_id = add_loss(sessions, source=sent, readable_source=rows.SOURCE)
    assert discovery("candidate", "source", candidate_id, env=api_env).out == rows.SOURCE
    shown = discovery("candidate", "source", candidate_id, "--sent", env=api_env).out
    assert shown == "def loss(beta):\n        return beta * 2\n"
    on_terminal = discovery("candidate", "source", candidate_id, env={**api_env, "FORCE_COLOR": "1", "TERM": "xterm"})
    assert "\x1b[" in on_terminal.out
    told = discovery("candidate", "source", candidate_id, "--json", env=api_env).json
    assert told["sent"]["text"] == sent


def test_lineage_is_a_tree_in_which_each_loss_is_followed_once(
    discovery: Command, api_env: dict[str, str], sessions: Sessions
) -> None:
    with sessions.begin() as session:
        campaign = session.get_one(Campaign, rows.add_campaign(session).id)
        other = rows.SOURCE.replace("-beta", "-2 * beta")
        sources = {"oldest": rows.SOURCE, "left": other, "right": rows.SOURCE, "mine": other, "child": other}
        made = {
            name: rows.add_candidate(session, campaign, name=name, readable_source=source).id
            for name, source in sources.items()
        }
        for child, parent, role in (
            *(("left", "oldest", "parent"), ("right", "oldest", "parent")),
            *(("mine", "left", "parent"), ("mine", "right", "inspiration"), ("child", "mine", "parent")),
            ("oldest", "root", "parent"),
        ):
            if parent == "root":
                made["root"] = rows.add_candidate(session, campaign, name="root", readable_source=other).id
            session.add(Lineage(child_id=made[child], parent_id=made[parent], role=role))
            session.flush()
    plain = discovery("candidate", "lineage", made["mine"], env=api_env).out
    assert [line.rstrip() for line in plain.splitlines()] == [
        "mine (symbolic, round 4, slot 0)",
        "├── made from",
        "│   ├── left (symbolic, round 2, slot 0)",
        "│   │   └── oldest (symbolic, round 1, slot 0)",
        "│   │       └── root (symbolic, round 6, slot 0)",
        "│   └── right (symbolic, round 3, slot 0), as an inspiration",
        "│       └── oldest (symbolic, round 1, slot 0), see above",
        "└── led to",
        "    └── child (symbolic, round 5, slot 0)",
    ]
    with_diffs = discovery("candidate", "lineage", made["mine"], "--diff", env=api_env).out
    assert "+    return -2 * beta * policy_chosen_logps" in with_diffs
    assert "nothing changed" in with_diffs


def test_relatives_stand_with_their_intervals(discovery: Command, api_env: dict[str, str], won: Play) -> None:
    with won.sessions.begin() as session:
        session.add(Lineage(child_id=id_of(won, "cdpo"), parent_id=id_of(won, "ipo"), role="parent"))
    above, below = discovery("candidate", "lineage", id_of(won, "cdpo"), env=api_env).out.split("made from")
    assert "confirmed +0." in above
    assert "]: better than the reference)" in above
    assert "ipo (library, round 0, slot 1; screened " in below


def test_trainings_are_listed_by_arena_and_purpose(discovery: Command, api_env: dict[str, str], won: Play) -> None:
    told = ("candidate", "evaluations", "cdpo", "--campaign", won.campaign_id)
    ran = discovery(*told, "--purpose", "screen", "--purpose", "confirm", env=api_env)
    lines = ran.out.splitlines()
    assert lines[0].split()[:3] == ["id", "arena", "purpose"]
    assert {line.split()[2] for line in lines[1:]} == {"screen", "confirm"}
    assert len(discovery(*told, "--limit", 60, "--json", env=api_env).json) == 23
    assert len(discovery(*told, "--limit", 2, env=api_env).out.splitlines()) == 3
    assert discovery(*told, "--arena", "nowhere", env=api_env).code == 2


def test_a_frontier_says_of_one_draw_that_it_is_one(discovery: Command, api_env: dict[str, str], won: Play) -> None:
    ran = discovery("candidate", "frontier", id_of(won, "cdpo"), env=api_env)
    tried, _, later = ran.out.partition("Tuned, by which a setting is chosen")
    mine = [line for line in tried.splitlines() if line.startswith("cdpo")]
    assert len(mine) == len([line for line in tried.splitlines() if line.startswith("dpo")]) == 7
    assert all(line.count("(one draw)") == 2 for line in mine)
    assert "(one draw)" not in later
    assert all(line.count("[") == 2 for line in later.splitlines() if line.startswith(("cdpo", "dpo")))


def test_json_is_what_the_service_says(discovery: Command, api_env: dict[str, str], client: Client, won: Play) -> None:
    candidate_id = id_of(won, "cdpo")
    for command, read in {
        "show": client.candidates.read,
        "source": client.candidates.source,
        "lineage": client.candidates.lineage,
        "frontier": client.candidates.frontier,
    }.items():
        told = discovery("candidate", command, candidate_id, "--json", env=api_env).json
        assert told == read(candidate_id).model_dump(mode="json")
    found = discovery("candidate", "evaluations", candidate_id, "--json", env=api_env).json
    assert found == [each.model_dump(mode="json") for each in client.candidates.evaluations(candidate_id)]


def test_a_name_needs_its_campaign(discovery: Command, api_env: dict[str, str]) -> None:
    for command in ("show", "source", "lineage", "evaluations", "frontier"):
        ran = discovery("candidate", command, "cdpo", env=api_env)
        assert (ran.code, "cdpo is no id of a loss; a name needs the --campaign that it is of" in ran.err) == (2, True)


def test_blocks_are_the_fuller_the_higher_and_absent_where_nothing_is_finite() -> None:
    assert draw_blocks([0.0, 0.5, 1.0], 0.0, 1.0) == "▁▅█"
    assert draw_blocks([None, 1.0, None], 0.0, 1.0) == " █"
    assert draw_blocks([2.0, 2.0], 2.0, 2.0) == "▁▁"

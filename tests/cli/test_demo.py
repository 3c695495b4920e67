"""What `discovery demo` plans, and what it tells of a campaign that has ended."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from discovery_service.cli.demo import cancel_unfinished
from discovery_service.cli.demo_report import (
    export_best,
    print_findings,
    read_findings,
    run_check,
    tell_export,
    tell_verdict,
)
from discovery_service.cli.demo_spec import ARENA_OF, LIBRARIES, VARIANTS, choose_arena, plan_demo
from discovery_service.client import Client
from discovery_service.db.sessions import Sessions
from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.families import Family
from discovery_service.domain.freezing import SdSource, plan_confirmation
from discovery_service.domain.published import read_published
from discovery_service.errors import UsageError
from tests.api.test_exports import played


@pytest.mark.parametrize("arena", ARENAS)
def test_it_can_be_had_in_every_arena_and_says_who_proposes_there(arena: str) -> None:
    plan = plan_demo(arena, 3, None)
    spec = CampaignSpec.model_validate(plan.spec)
    kinds = [each.kind for each in spec.proposers]
    is_recorded = arena in ("terse", "panel", "plain")
    assert kinds == (["recorded", "symbolic"] if is_recorded else ["symbolic"])
    assert ("RECORDED" in plan.told[1]) is is_recorded
    assert ("works alone" in plan.told[1]) is not is_recorded
    assert (spec.arena, spec.family, spec.seed) == (f"{arena}:mini", ARENAS[arena].family, 3)
    assert spec.library == list(LIBRARIES[spec.family])
    # What was planted in terse is not in the library, or finding it would be a twin.
    assert "length_dpo" not in spec.library


def test_a_model_is_asked_where_there_is_a_key_and_its_tokens_are_bounded() -> None:
    plan = plan_demo("fog", 1, "gpt-5-mini")
    spec = CampaignSpec.model_validate(plan.spec)
    assert [each.kind for each in spec.proposers] == ["llm", "symbolic"]
    assert spec.budgets.tokens is not None
    assert "gpt-5-mini" in plan.told[1]


def test_what_is_held_out_differs_from_where_it_searches_by_one_thing() -> None:
    assert plan_demo("panel", 1, None).spec["held_out_arenas"] == ["panel-diluted:mini"]
    assert "nothing is held out" in plan_demo("plain", 1, None).told[0]
    for searched, held_out in VARIANTS.items():
        here, there = (ARENAS[name].world.document() for name in (searched, held_out))
        assert ARENAS[searched].family is ARENAS[held_out].family
        assert len({name for name in here.keys() | there.keys() if here.get(name) != there.get(name)}) == 1


@pytest.mark.parametrize("family", Family)
def test_a_family_has_an_arena_and_another_ones_is_refused(family: Family) -> None:
    assert choose_arena(None, None) == "panel"
    arena = choose_arena(None, family)
    assert ARENAS[arena].family is family
    assert arena in VARIANTS
    assert choose_arena(arena, family) == choose_arena(arena, None) == arena
    other = next(each for each in ARENA_OF.values() if each != arena)
    with pytest.raises(UsageError, match=f"not of the family {family}.*{arena}:mini"):
        choose_arena(other, family)


@pytest.mark.parametrize("arena", ["moon", "panel:huge", "support"])
def test_an_arena_that_is_not_built_in_is_refused(arena: str) -> None:
    with pytest.raises(UsageError, match="panel"):
        plan_demo(arena, 1, None)


def test_nine_draws_are_what_it_confirms_on_in_every_calibrated_arena() -> None:
    spec = CampaignSpec.model_validate(plan_demo("panel", 1, None).spec)
    asked = spec.confirmation
    for arena in read_published()["arenas"].values():
        if "library" in arena:
            plan = plan_confirmation(
                detect=asked.detect,
                at_least=asked.min_draws,
                sd=arena["library"]["sd"],
                sd_source=SdSource.CALIBRATION,
                finalists=asked.finalists,
                looked_at=spec.budgets.candidates,
                base_policies=(0, 1, 2),
                met=2,
            )
            assert plan.draws == 9, arena["name"]


def test_a_find_is_told_with_its_interval_and_its_module(
    client: Client, sessions: Sessions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play = played(sessions, 0.5)
    found = read_findings(client, client.campaigns.read(play.campaign_id))
    print_findings(found)
    shown = capsys.readouterr().out
    assert found.has_found
    assert "Nothing better" not in shown
    assert "Confirmed: of 1 candidates that were looked at, better than dpo in table is cdpo (symbolic) by 0." in shown
    (by,) = [line for line in shown.splitlines() if line.startswith("symbolic")]
    assert by.split()[1:4] == ["1", "cdpo", "cdpo"]
    exported = export_best(client, found, tmp_path / "loss.py")
    assert exported is not None
    assert (exported.is_confirmed, exported.path.exists()) == (True, True)
    told, path = tell_export(exported)[0], os.path.relpath(tmp_path / "loss.py")
    assert told.startswith(f"Exported to {path}; `")
    command = shlex.split(told.split("`")[1])
    assert (Path(command[0]).resolve(), command[1:]) == (
        Path(sys.executable).resolve(),
        ["-I", path, "--check"],
    )


def test_proposed_code_runs_without_keys_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a secret")
    monkeypatch.setenv("DISCOVERY__DATABASE__URL", "another one")
    file = tmp_path / "loss.py"
    file.write_text("import os, sys\nprint(*sorted(os.environ), sys.flags.isolated)\n")
    told, has_passed = run_check(file)
    assert has_passed
    # An interpreter in the C locale names another one to itself.
    assert set(told.split()) - {"LC_CTYPE"} == {"PATH", "1"}


def test_what_an_interrupted_demo_left_is_cancelled_and_nobody_elses(client: Client) -> None:
    left = client.campaigns.create(name=plan_demo("panel", 1, None).name, spec={"arena": "panel"})
    other = client.campaigns.create(name="a search", spec={"arena": "panel"})
    assert [each.id for each in cancel_unfinished(client)] == [left.id]
    assert client.campaigns.read(left.id).status == "cancelled"
    assert client.campaigns.read(other.id).status == "queued"
    assert cancel_unfinished(client) == []


def test_a_find_that_is_no_better_than_the_best_known_loss_is_told_as_that(client: Client, sessions: Sessions) -> None:
    play = played(sessions, 0.5, merits={"ipo": 0.5})
    told = tell_verdict(read_findings(client, client.campaigns.read(play.campaign_id)))
    (beside,) = [line for line in told if "best known loss" in line]
    assert beside.startswith("cdpo (symbolic) is not distinguishable from ipo, the best known loss of the screen: ")
    assert beside.endswith("].")


def test_that_nothing_was_found_is_said_plainly_and_the_module_is_unconfirmed(
    client: Client, sessions: Sessions, tmp_path: Path
) -> None:
    play = played(sessions, -0.5)
    found = read_findings(client, client.campaigns.read(play.campaign_id))
    told = tell_verdict(found)
    assert not found.has_found
    assert any(line.startswith("Nothing better than the baselines was found") for line in told)
    exported = export_best(client, found, tmp_path / "loss.py")
    assert exported is not None
    assert not exported.is_confirmed
    assert tell_export(exported)[0].startswith("What leaves is no discovery. CONFIRMED WORSE than dpo by 0.")


def test_what_was_only_screened_is_called_unconfirmed(client: Client, sessions: Sessions, tmp_path: Path) -> None:
    play = played(sessions, -0.5, is_search_over=False)
    found = read_findings(client, client.campaigns.read(play.campaign_id))
    exported = export_best(client, found, tmp_path / "loss.py")
    assert exported is not None
    assert tell_export(exported)[0].startswith("What leaves is no discovery. UNCONFIRMED: no confirmation on fresh")


def test_without_a_finalist_nothing_is_exported(client: Client, tmp_path: Path) -> None:
    campaign = client.campaigns.create(name="empty", spec={"arena": "panel"})
    assert export_best(client, read_findings(client, campaign), tmp_path / "loss.py") is None
    assert not (tmp_path / "loss.py").exists()
    assert tell_export(None) == ["Nothing is exported: nothing new that was proposed has come through its screen."]

"""What the benchmark of the search tells follows from its lines, and no campaign is run twice."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks import search, search_plan
from benchmarks.kept import Kept
from benchmarks.planted import PLANTED
from benchmarks.search_figures import average, describe, find_regret, find_share, is_discovery
from benchmarks.search_gains import find_gain
from benchmarks.search_plan import COMPARED_ARENAS, LEFT_OUT, SEEDS, Case, Part, list_cases
from benchmarks.search_table import tabulate
from discovery_service.domain.campaign import CampaignSpec, StrategyName
from discovery_service.domain.intervals import find_interval
from discovery_service.domain.verdicts import Verdict
from tests.benchmarks.banks import FINALISTS, make_bank, winning

TERSE, PLAIN = "terse:mini", "plain:mini"
TIME = {"total_s": 100.0, "trained_s": 96.0, "starved_s": 1.0, "idle_share": 0.04, "lost_share": 0.03}


def outcome(difference: float | None = 0.3, *, verdict: Verdict = Verdict.BETTER, **more: Any) -> dict[str, Any]:
    pick = None
    if difference is not None:
        bounds = {"difference": difference, "lower": difference - 0.1, "upper": difference + 0.1}
        pick = {"name": "found", "thought": "From dpo.", "verdict": verdict.value, **bounds}
    return {
        "campaign": "0",
        "reason": "It is over.",
        "pick": pick,
        "finalists": [] if pick is None else [pick],
        "proposals": {"made": 20, "answers": 25, "accepted": 19, "refused": {"zero_gradient": 2}, "duplicates": 4},
        "evaluations": 600,
        "trainings": 300,
        "device_s": 400.0,
        "wall_s": 250.0,
        "slot_time": TIME,
        **more,
    }


def compared(arena: str, strategy: StrategyName, seed: int) -> Case:
    return Case(Part.STRATEGIES, arena, strategy, seed)


def find_group(figures: Mapping[str, Any], arena: str, strategy: StrategyName) -> dict[str, Any]:
    [found] = [each for each in figures["strategies"] if (each["arena"], each["strategy"]) == (arena, strategy)]
    return found


def test_a_mean_is_told_with_its_interval_over_seeds() -> None:
    gains = [0.1, 0.3, 0.2]
    found = {compared(TERSE, StrategyName.EVOLVE, seed): outcome(gain) for seed, gain in enumerate(gains)}
    told = find_group(describe(found, {}), TERSE, StrategyName.EVOLVE)
    expected = find_interval(gains)
    assert (told["campaigns"], told["difference"]["mean"]) == (3, pytest.approx(0.2))
    assert (told["difference"]["low"], told["difference"]["high"]) == (expected.low, expected.high)
    assert told["refused"]["mean"] == pytest.approx(2 / 25)
    assert told["duplicates"]["mean"] == pytest.approx(4 / 25)
    assert told["lost"]["mean"] == pytest.approx(1 / 20)
    assert told["idle_share"]["mean"] == 0.04


def test_a_campaign_without_a_finalist_leaves_dpo() -> None:
    found = {compared(TERSE, StrategyName.EVOLVE, seed): outcome(gain) for seed, gain in enumerate([None, 0.4])}
    told = find_group(describe(found, {}), TERSE, StrategyName.EVOLVE)
    assert told["difference"]["mean"] == pytest.approx(0.2)
    assert told["discoveries"]["share"] == 0.5


def test_strategies_are_contrasted_with_the_same_seed_alone() -> None:
    """What a seed brings cancels: it would hide the difference otherwise."""
    luck = [0.0, 1.0, 2.0, 3.0]
    ours = {compared(TERSE, StrategyName.EVOLVE, seed): outcome(0.1 + each) for seed, each in enumerate(luck)}
    theirs = {compared(TERSE, StrategyName.BLIND, seed): outcome(each) for seed, each in enumerate(luck)}
    alone = {compared(TERSE, StrategyName.BLIND, 9): outcome(-50.0)}
    [told] = describe({**ours, **theirs, **alone}, {})["contrasts"]
    assert (told["arena"], told["other"], told["draws"]) == (TERSE, "blind", 4)
    assert told["low"] == pytest.approx(0.1)
    assert told["high"] == pytest.approx(0.1)


def test_over_arenas_each_counts_the_same() -> None:
    pooled = average([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0]])
    assert (pooled.mean, pooled.low, pooled.high) == (0.5, 0.5, 0.5)
    assert average([[1.0, 2.0], [0.0]]).low is None


def test_the_interval_over_arenas_holds_the_truth_as_often_as_it_says() -> None:
    chance, held = Random(0), 0
    for _ in range(1000):
        groups = [[gain + chance.gauss(0, 0.2) for _ in range(8)] for gain in (0.1, 0.5, 0.0)]
        found = average(groups)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.2 <= found.high
    assert 0.93 <= held / 1000 <= 0.97


def test_a_regret_bears_the_errors_of_the_picks_and_of_the_winner() -> None:
    picks = find_interval([0.2, 0.3, 0.4])
    exact, rough = (find_regret(picks, {"gain": 0.5, "error": error}) for error in (0.0, 0.3))
    assert picks.low is not None
    assert exact.low is not None
    assert rough.low is not None
    assert exact.mean == pytest.approx(0.2)
    assert exact.mean - exact.low == pytest.approx(picks.mean - picks.low)
    assert rough.mean - rough.low > exact.mean - exact.low
    own = find_interval([0.2]), {"gain": 0.5, "error": 0.1}
    assert find_regret(*own).low is None


def test_a_share_has_an_interval_that_stays_within_0_and_1() -> None:
    none, all_of_them = find_share(0, 10), find_share(10, 10)
    assert (none["share"], none["low"]) == (0, pytest.approx(0))
    assert none["high"] == pytest.approx(0.2775, abs=1e-4)
    assert (all_of_them["share"], all_of_them["high"]) == (1, pytest.approx(1))
    assert min(each["low"] for each in (none, all_of_them)) >= 0


def test_the_gain_of_a_planted_winner_is_the_one_in_the_bank() -> None:
    bank = make_bank(winning(0.4), TERSE, noise=0.05)
    winner, reference = bank.get_tuned(TERSE, PLANTED), bank.get_tuned(TERSE, "dpo")
    found = find_gain(TERSE, PLANTED, lambda cell: bank.get(cell).j, winner, reference)
    assert found is not None
    assert abs(found["gain"] - 0.4) < 4 * found["error"]
    assert found["error"] == pytest.approx(0.05 * math.sqrt(2 / 30), rel=0.5)
    assert len(reference.finalists) == len(FINALISTS)


def test_outcomes_are_counted_by_arena_and_held_against_what_was_promised() -> None:
    found = {
        Case(Part.OUTCOMES, arena, StrategyName.EVOLVE, seed): outcome(0.2, verdict=verdict)
        for arena, verdict in ((TERSE, Verdict.BETTER), (PLAIN, Verdict.NOT_DISTINGUISHABLE))
        for seed in range(10)
    }
    figures = describe(found, {})
    assert {arena: each["discoveries"] for arena, each in figures["outcomes"]["arenas"].items()} == {
        TERSE: 10,
        PLAIN: 0,
    }
    assert [each["verdict"] for each in figures["targets"]] == ["met", "met", "not measured"]
    few = {case: each for case, each in found.items() if case.seed < 9}
    assert [each["verdict"] for each in describe(few, {})["targets"]][:2] == ["not measured"] * 2
    assert not is_discovery(outcome(0.2, verdict=Verdict.WORSE))


def test_every_table_is_written_whatever_there_is() -> None:
    assert "no campaign yet" in tabulate(describe({}, {}))
    found = {case: outcome() for case in list_cases()}
    some = {case: outcome(None, slot_time=None) for case in list(list_cases())[:40]}
    gains = {(TERSE, PLANTED): {"gain": 0.4, "error": 0.02}}
    for each in (found, some):
        text = tabulate(describe(each, gains))
        assert "None" not in text
        assert "nan" not in text


def test_each_case_is_a_campaign_that_the_service_takes() -> None:
    cases = list(list_cases())
    assert len({case.name for case in cases}) == len({json.dumps(case.key) for case in cases}) == len(cases)
    for case in cases:
        spec = CampaignSpec.model_validate(case.spec)
        assert LEFT_OUT not in spec.library
        assert len(case.given) in (0, spec.budgets.candidates)
        assert spec.seed == case.seed
    compared = [case for case in cases if case.part is Part.STRATEGIES]
    assert len(compared) == SEEDS * len(COMPARED_ARENAS) * len(StrategyName)
    assert {(case.arena, case.strategy) for case in compared[:20]} == {
        (arena, strategy) for arena in COMPARED_ARENAS for strategy in StrategyName
    }, "what is there after an hour is of all of them"


def test_a_remark_makes_no_other_search_and_a_statement_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "deciding.py"
    monkeypatch.setattr(search_plan, "_list_files", lambda: iter([file]))

    def hash_of(text: str) -> str:
        file.write_text(text)
        search_plan.hash_code.cache_clear()
        return search_plan.hash_code()

    plain = hash_of("def f():\n    return 1\n")
    assert hash_of('"""A module."""\n\ndef f():\n    """Says one."""\n    return 1  # or so\n') == plain
    assert hash_of("def f():\n    return 2\n") != plain
    search_plan.hash_code.cache_clear()


def test_what_is_kept_is_not_missing_any_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "search.jsonl"
    argv = ["--list", "--kept", str(path), "--part", "outcomes", "--arena", TERSE, "--seeds", "2"]
    search.main(argv)
    assert capsys.readouterr().out.splitlines()[-1] == "2 of 2 campaigns are missing"
    Kept(path).get(Case(Part.OUTCOMES, TERSE, StrategyName.EVOLVE, 1).key, outcome)
    search.main(argv)
    assert capsys.readouterr().out.splitlines() == [
        "outcomes terse:mini evolve 2",
        "1 of 2 campaigns are missing",
    ]


def test_as_is_it_tells_what_is_there_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "search.jsonl"
    Kept(path).get(Case(Part.OUTCOMES, TERSE, StrategyName.EVOLVE, 1).key, outcome)
    search.main(["--as-is", "--json", "--kept", str(path), "--gains", str(tmp_path / "gains.jsonl")])
    said = capsys.readouterr()
    assert json.loads(said.out)["outcomes"]["arenas"][TERSE]["discoveries"] == 1
    assert "188 of 189 campaigns are missing" in said.err


def test_finalists_that_were_given_stand_beside_what_the_bank_says_of_them() -> None:
    cases = {part: Case(part, TERSE, StrategyName.EVOLVE, 1) for part in (Part.PLACEBO, Part.PLANTED)}
    found = {
        cases[Part.PLACEBO]: outcome(0.05, verdict=Verdict.NOT_DISTINGUISHABLE),
        cases[Part.PLANTED]: outcome(0.3),
    }
    gains = {(TERSE, "found"): {"gain": 0.45, "error": 0.01}}
    copy, planted = describe(found, gains)["by_hand"]
    assert (copy["truth"]["gain"], copy["holds"]) == (0, True)
    assert (planted["truth"]["gain"], planted["holds"]) == (0.45, False)
    [unknown] = describe({cases[Part.PLANTED]: outcome()}, {})["by_hand"]
    assert (unknown["truth"], unknown["holds"]) == (None, None)

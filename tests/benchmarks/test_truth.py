"""Campaigns that are drawn from a bank of which the truth is known tell that truth."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks import truth
from benchmarks.bank_file import Cell, Outcome, write_bank
from benchmarks.bank_plan import CONTROLS, LIBRARY, MAIN, SALTS, WITH_WINNER
from benchmarks.bank_worlds import find_variances, open_world
from benchmarks.judging import COPIES, LOSSES, Counts
from benchmarks.planted import PLANTED
from benchmarks.redrawn import World
from benchmarks.truth_campaigns import CANDIDATES, GAINS, Sample, play_placebo, play_planted, repeat, sample
from benchmarks.truth_figures import compare_library, describe_coverage, describe_null, find_share, find_targets
from discovery_service.domain.confirming import Match, compare_with_all
from discovery_service.domain.differences import Variance
from discovery_service.domain.intervals import LEVEL
from discovery_service.domain.verdicts import Verdict
from tests.benchmarks.banks import SETTINGS, Truth, make_bank, nothing, winning

TERSE, PLAIN, FLIPS = "terse:mini", "plain:mini", "flips:mini"
FEW = Sample(campaigns=40, banks=5, campaigns_of_bank=10)


def open_terse(known: Truth, seed: int = 0) -> World:
    return open_world(make_bank(known, TERSE, seed=seed), TERSE)


def play(kind: Callable[[World, Random], Counts], world: World, campaigns: int = 400) -> Counts:
    return repeat(kind, world, campaigns, Random(0))


def test_among_copies_of_dpo_hardly_anything_is_found() -> None:
    counts = play(play_placebo, open_terse(nothing))
    assert counts["finalists"] == 3 * counts["campaigns"]
    assert counts["with better"] / counts["campaigns"] <= 0.05
    assert counts["with worse"] / counts["campaigns"] <= 0.05


def test_nor_where_tuning_often_leaves_dpo_at_the_worse_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tune draws tell nothing. Copies are better than DPO there, and not than DPO at its other setting."""

    def known(cell: Cell) -> float:
        return -0.3 * (cell.setting == SETTINGS[3] and not cell.draw.key.startswith("tune"))

    world = open_terse(known)
    counts = play(play_placebo, world)
    assert counts["with better"] / counts["campaigns"] <= 0.02

    def alone(differences: Any, finalists: int) -> Match:
        chosen = next(iter(differences))
        return compare_with_all({chosen: differences[chosen]}, finalists)

    monkeypatch.setattr("benchmarks.judging.compare_with_all", alone)
    counts = play(play_placebo, world)
    assert counts["with better"] / counts["campaigns"] > 0.1


def test_that_one_copy_of_dpo_was_lucky_in_the_bank_makes_it_no_better() -> None:
    """Which training is the reference's is drawn anew on each draw."""
    lucky = open_terse(lambda cell: 0.3 * (cell.draw.salt == SALTS[0]))
    counts = play(play_placebo, lucky)
    assert counts[Verdict.BETTER] / counts["campaigns"] <= 0.05
    unlucky = open_terse(lambda cell: 0.3 * (cell.draw.salt == ""))
    assert play(play_placebo, unlucky)[Verdict.BETTER] / counts["campaigns"] <= 0.05


def test_nor_does_it_among_other_candidates() -> None:
    lucky = open_terse(lambda cell: 0.3 * (cell.draw.salt != ""))
    counts = play(play_planted, lucky)
    assert counts["campaigns"] == 400
    # A loss in the bank whose mean is by chance above DPO's is rightly called better, seldom.
    assert counts[Verdict.BETTER] / counts["campaigns"] <= 0.05


def test_a_copy_never_has_the_training_that_it_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be a difference of exactly 0, as no campaign has it."""
    world = open_terse(nothing)
    seen: list[Any] = []

    def look(*asked: Any) -> dict[str, Any]:
        seen.append(asked)
        return {}

    monkeypatch.setattr("benchmarks.truth_campaigns.screen_all", look)
    play(play_placebo, world, 20)
    for contenders, reference, _ in seen:
        assert len(contenders) == CANDIDATES
        for each in contenders.values():
            assert all(own != other for own, other in zip(each.values, reference.values, strict=True))


def test_a_planted_gain_is_found_and_the_verdicts_on_it_are_right() -> None:
    counts = play(play_planted, open_terse(winning(0.4)), 200)
    assert counts["winners"] == counts["sizeable"] == 200
    assert counts["gain"] / counts["winners"] == pytest.approx(0.4, abs=0.05)
    assert counts["sizeable found"] / counts["sizeable"] >= 0.95
    assert counts["right"] / counts[Verdict.BETTER] >= 0.95


def test_a_gain_under_two_base_policies_of_three_is_none_that_may_be_called_better() -> None:
    counts = play(play_planted, open_terse(lambda c: 0.6 * (c.loss == PLANTED and c.base_policy != 2) - 0.02), 100)
    assert counts["right"] < counts[Verdict.BETTER] or not counts[Verdict.BETTER]


def test_power_grows_with_the_gain_and_is_told_from_the_same_draws() -> None:
    counts = play(play_planted, open_terse(winning(0.2)), 200)
    found = [counts["found", gain] / counts["asked", gain] for gain in GAINS]
    assert found == sorted(found)
    assert found[0] <= 0.03
    assert found[-1] >= 0.99
    assert all(counts["found", gain] <= counts["chosen", gain] <= counts["asked", gain] for gain in GAINS)


def draw_for_coverage(campaigns: int = 150) -> dict[str, Any]:
    drawn = [
        {f"{TERSE} {seed}": sample(kind, open_terse(winning(0.2), seed), Sample(campaigns, 2, 2)) for seed in range(3)}
        for kind in (play_placebo, play_planted)
    ]
    return describe_coverage(*drawn)


def test_intervals_hold_the_truth_of_the_bank_as_often_as_they_say() -> None:
    told = draw_for_coverage()
    assert told["share"] == pytest.approx(0.95, abs=0.02)
    assert told["at_the_chosen_setting"]["share"] == pytest.approx(0.95, abs=0.02)
    assert told["as_shown"]["level"] == pytest.approx(1 - 0.05 / 3)
    assert told["as_shown"]["share"] == pytest.approx(0.983, abs=0.012)
    assert told["all_of_a_campaign"]["share"] >= 0.95
    assert list(told["screen"]) == [COPIES, f"{COPIES}, finalists", LOSSES, f"{LOSSES}, finalists"]
    for kind in (COPIES, LOSSES):
        assert told["screen"][kind]["share"] == pytest.approx(0.95, abs=0.04)


def test_that_levels_are_not_corrected_for_the_number_of_finalists_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each interval holds as often as it says, and all of a campaign do not."""
    monkeypatch.setattr("discovery_service.domain.confirming.find_level", lambda finalists: LEVEL)
    told = draw_for_coverage()
    assert told["share"] == pytest.approx(0.95, abs=0.02)
    assert told["as_shown"]["level"] == pytest.approx(LEVEL)
    assert told["all_of_a_campaign"]["share"] < 0.92


def test_so_is_that_intervals_are_too_narrow_for_their_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discovery_service.domain.intervals.find_t", lambda level, degrees: 1.6)
    told = draw_for_coverage(60)
    assert told["share"] < 0.93
    assert told["as_shown"]["share"] < told["as_shown"]["level"] - 0.04


def test_a_screen_is_held_to_the_truth_of_its_own_base_policy() -> None:
    """What a loss gains elsewhere is no part of it, and how lucky the finalists were is told apart."""

    def known(cell: Cell) -> float:
        return 5.0 * (cell.base_policy != 0) * (cell.loss == PLANTED)

    counts = play(play_planted, open_terse(known), 100)
    assert counts["screened holds", LOSSES] / counts["screened", LOSSES] > 0.9
    assert counts["screened", COPIES] + counts["screened", LOSSES] == 100 * CANDIDATES
    assert counts["frozen", COPIES] + counts["frozen", LOSSES] == counts["finalists"] == 300


def test_with_dpo_at_one_of_its_settings_failed_nothing_is_said_of_anybody() -> None:
    """It may be the one that is the hardest to beat, as for the service."""

    def fails(cell: Cell) -> float | None:
        is_hit = cell.loss == "dpo" and cell.setting == SETTINGS[3] and cell.base_policy == 2
        return None if is_hit else winning(1.0)(cell)

    counts = play(play_planted, open_terse(fails), 50)
    assert counts["campaigns"] == 50
    assert counts["finalists"] == counts[Verdict.BETTER] == counts["winner found"] == 0


def test_what_an_arena_can_find_is_what_the_service_says_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the losses' mean variance: losses that are noisier than the typical one count with all they have."""
    one = open_terse(nothing)
    variances = [Variance(0.01, 9), Variance(0.01, 9), Variance(0.25, 9)]
    monkeypatch.setattr("benchmarks.bank_worlds.find_variances", lambda *_: variances)
    other = open_terse(nothing)
    assert other.sd == pytest.approx(0.3)
    assert other.sd > other.spread.sd
    assert other.detectable / other.sd == pytest.approx(one.detectable / one.sd)


def test_to_call_a_loss_better_is_wrong_where_it_fails_on_draws_that_the_campaign_had_not() -> None:
    def fails(cell: Cell) -> float | None:
        return None if cell.loss == PLANTED and cell.draw.key == "4" else winning(1.0)(cell)

    counts = play(play_planted, open_terse(fails), 100)
    assert counts["winners"] == 0
    assert counts[Verdict.BETTER] >= 40
    assert counts["right"] <= 10


def test_a_finalist_that_fails_on_a_confirming_draw_has_no_verdict() -> None:
    def fails(cell: Cell) -> float | None:
        return None if cell.loss == PLANTED and cell.base_policy == 2 else winning(1.0)(cell)

    counts = play(play_planted, open_terse(fails), 100)
    assert counts["finalists"] == 200
    assert counts[Verdict.BETTER] <= 10


def test_a_loss_that_fails_in_all_of_tuning_or_on_a_screen_draw_is_no_finalist() -> None:
    def fails(cell: Cell) -> float | None:
        return None if cell.loss == PLANTED and cell.draw.key.startswith("screen") else winning(1.0)(cell)

    counts = play(play_planted, open_terse(fails), 50)
    assert counts["winners"] == 50
    assert counts["winner a finalist"] == counts["asked", 0.5] == 0
    assert counts["finalists"] == 150
    never = open_terse(lambda cell: None if cell.loss == PLANTED else 0.0)
    assert play(play_planted, never, 20)["finalists"] == 60


def test_the_spread_is_that_of_the_library() -> None:
    bank = make_bank(nothing, TERSE, noise=0.2)
    assert len(find_variances(bank, TERSE)) == len(LIBRARY) - 1
    assert open_world(bank, TERSE).spread.sd == pytest.approx(0.2 * 2**0.5, rel=0.15)


def test_the_library_is_compared_at_a_level_for_all_of_it() -> None:
    def known(cell: Cell) -> float | None:
        return {"ipo": 0.6, "sign": -0.6, "pfl": None}.get(cell.loss, 0.0)

    told = compare_library(make_bank(known, PLAIN), PLAIN)
    verdicts = {loss: each["verdict"] for loss, each in told["losses"].items()}
    assert verdicts.pop("ipo") == Verdict.BETTER.value
    assert verdicts.pop("sign") == Verdict.WORSE.value
    assert set(verdicts.values()) == {Verdict.NOT_DISTINGUISHABLE.value}
    assert told["failed"] == ["pfl"]
    assert describe_null({PLAIN: told}) | {"arenas": {}} == {
        "draws": 12,
        "compared": len(LIBRARY) - 2,
        "better": 1,
        "worse": 1,
        "arenas": {},
    }


def test_who_is_better_than_dpo_at_the_worse_of_its_settings_alone_is_not_better_in_the_null() -> None:
    """As the service has it."""

    def known(cell: Cell) -> float:
        return {"ipo": 0.6, "dpo": 0.55 * (cell.setting == SETTINGS[3])}.get(cell.loss, 0.0)

    told = compare_library(make_bank(known, PLAIN), PLAIN)["losses"]
    assert told["ipo"]["verdict"] == Verdict.NOT_DISTINGUISHABLE.value
    assert told["ipo"]["at"] == SETTINGS[3].document()
    assert told["ipo"]["level"] == pytest.approx(1 - 0.05 / (len(LIBRARY) - 1))


def test_fewer_campaigns_than_a_drawn_bank_has_are_refused() -> None:
    """Their share would lie outside of its own interval."""
    with pytest.raises(SystemExit):
        truth.main(["--campaigns", str(Sample.campaigns_of_bank - 1)])


def test_a_target_is_of_all_arenas_or_not_measured() -> None:
    some = {"share": 1.0}
    arenas: dict[str, Any] = {arena: {} for arena in MAIN}
    told = {"share": 0.0, "better": 0, "right_share": some, "found_share": some, "verdicts_a_campaign": {"share": 0.0}}
    figures: dict[str, Any] = {
        "placebo": {**told, "arenas": arenas},
        "planted": {**told, "arenas": {arena: {} for arena in WITH_WINNER}},
        "null": {**told, "arenas": {arena: {} for arena in CONTROLS}},
        "coverage": {"share": 0.95, "all_of_a_campaign": some},
    }
    assert {each.verdict for each in find_targets(figures)} == {"met"}
    figures["placebo"]["arenas"].pop(PLAIN)
    verdicts = [each.verdict for each in find_targets(figures)]
    assert verdicts == ["not measured"] * 2 + ["met"] * 3 + ["not measured"] * 3


def test_the_same_seed_draws_the_same_campaigns() -> None:
    world = open_terse(winning(0.2))
    assert sample(play_planted, world, FEW) == sample(play_planted, world, FEW)
    assert sample(play_planted, world, FEW) != sample(play_planted, world, replace(FEW, seed=1))


def test_a_share_has_an_interval_from_other_banks_and_none_of_nothing() -> None:
    drawn = sample(play_placebo, open_terse(nothing), FEW)
    share = find_share(drawn, "hold alone", "intervals")
    assert 0 <= share["low"] <= share["high"] <= 1
    assert find_share(drawn, "found", "never asked") == {"share": None, "low": None, "high": None}


def run(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    truth.main(argv)
    told = capsys.readouterr()
    return json.loads(told.out), told.err


def test_what_the_bank_lacks_is_left_out_by_name_and_no_target_is_met_unmeasured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = make_bank(nothing, PLAIN)
    cut = {cell: outcome for cell, outcome in bank.outcomes.items() if cell.draw.salt != "2"}
    write_bank(replace(bank, outcomes=cut), tmp_path / "bank")
    figures, table = run(["--json", "--bank", str(tmp_path / "bank")], capsys)
    assert figures["left_out"][PLAIN].startswith("The bank has no training of dpo")
    assert f"left out: {PLAIN}" in table
    assert {each["verdict"] for each in figures["targets"]} == {"not measured"}


def test_the_table_tells_each_kind_of_campaign_and_misses_where_it_misses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def known(cell: Cell) -> float:
        return {PLANTED: 0.4, "ipo": 0.5 * (cell.arena == PLAIN)}.get(cell.loss, 0.0)

    write_bank(make_bank(known, TERSE, PLAIN, FLIPS), tmp_path / "bank")
    asked = ["--json", "--bank", str(tmp_path / "bank"), "--campaigns", "80", "--banks", "1"]
    figures, table = run(asked, capsys)
    assert figures["placebo"]["campaigns"] == 240
    assert figures["planted"]["campaigns"] == 80
    assert figures["planted"]["found"] == 80
    assert figures["null"]["better"] == 1
    verdicts = {each["name"]: each["verdict"] for each in figures["targets"]}
    assert verdicts.pop("losses better than DPO in the controls") == "missed"
    assert set(verdicts.values()) == {"not measured"}, "three of six arenas are not all"
    assert "misses its target" in table
    assert "better than DPO: 1\n    ipo +0." in table
    assert "theory" in table


def test_a_reference_that_failed_is_told() -> None:
    bank = make_bank(nothing, PLAIN)
    broken = {
        cell: Outcome(None, 1.0, "It diverged.") if cell.loss == "dpo" else outcome
        for cell, outcome in bank.outcomes.items()
    }
    with pytest.raises(ValueError, match="DPO failed"):
        compare_library(replace(bank, outcomes=broken), PLAIN)

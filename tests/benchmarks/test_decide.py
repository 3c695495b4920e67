"""What a decision costs, and how often it is right, on banks of which the best loss is known."""

import json
from pathlib import Path
from random import Random

import pytest

from benchmarks import decide as command
from benchmarks.bank_file import Cell, write_bank
from benchmarks.decide import Sample, repeat, run
from benchmarks.decide_figures import Repeated, describe, tabulate
from benchmarks.decisions import Table, decide, find_exhaustive, open_table
from benchmarks.planted import PLANTED
from tests.benchmarks.banks import SETTINGS, Truth, make_bank, nothing

TERSE = "terse:mini"
ORDER = {PLANTED: 0.9, "hinge_length_offset": 0.6, "length_offset_half": 0.55, "ipo": 0.5, "dpo": -9.0}


def known(cell: Cell) -> float:
    """Some losses are good, and of each the setting in the middle is the best."""
    return ORDER.get(cell.loss, -0.01 * len(cell.loss)) - 0.1 * abs(SETTINGS.index(cell.setting) - 3)


def make_table(truth: Truth = known, noise: float = 0.01) -> Table:
    return open_table(make_bank(truth, TERSE, noise=noise))


def test_without_noise_the_best_is_picked_at_its_best_setting() -> None:
    table = make_table()
    decision = decide(table, Random(0))
    assert (table.losses[decision.pick[0]], decision.pick[1]) == (PLANTED, 3)
    assert table.means[decision.pick] == table.best
    assert find_exhaustive(table, 20, 0.0, Random(0)) == [1.0] * 12


def test_a_decision_takes_the_trainings_that_the_service_would_and_dpo_goes_on_though_it_is_last() -> None:
    decision = decide(make_table(), Random(0))
    assert decision.trainings == 36 * 7 + 18 * (4 + 3) + 6 * 12
    assert decision.seconds == pytest.approx(1.25 * decision.trainings)


def test_a_screen_without_noise_ranks_as_the_truth_does_and_one_of_noise_does_not() -> None:
    assert decide(make_table(), Random(0)).tau_of_screened > 0.8
    noisy = make_table(noise=50.0)
    taus = [decide(noisy, Random(seed)).tau_of_screened for seed in range(20)]
    assert sum(taus) / len(taus) < 0.5


def test_more_draws_make_the_exhaustive_run_right_more_often() -> None:
    table = make_table(noise=0.5)
    shares = find_exhaustive(table, 500, 0.1, Random(0))
    assert shares[0] < shares[3] < shares[11]


def test_what_failed_is_never_picked() -> None:
    def fails(cell: Cell) -> float | None:
        return None if cell.loss == PLANTED and cell.draw.key in ("0", "decide 3") else known(cell)

    table = make_table(fails)
    assert table.best == pytest.approx(0.6, abs=0.05)
    picks = {table.losses[decide(table, Random(seed)).pick[0]] for seed in range(30)}
    assert picks <= {PLANTED, "hinge_length_offset", "length_offset_half", "ipo"}
    assert find_exhaustive(table, 20, 0.0, Random(0))[11] < 1.0
    never = make_table(lambda cell: None if cell.loss == PLANTED else known(cell))
    assert {never.losses[decide(never, Random(seed)).pick[0]] for seed in range(30)} == {"hinge_length_offset"}


def make_repeated(
    right: float, exhaustive: list[float], peer_s: float | None = 10.0, decisions: int = 2000
) -> Repeated:
    return Repeated(decisions, right, exhaustive, 0.02, 0.6, 0.5, 500.0, 450.0, 250.0, 252, peer_s)


def test_ratios_are_at_as_many_draws_as_make_the_exhaustive_run_as_right() -> None:
    found = make_repeated(0.9, [0.5, 0.8, 0.92, 0.95])
    assert found.equal_draws == 3
    assert found.ratio_vs_exhaustive == pytest.approx(3 * 250 / 500)
    assert found.ratio_vs_peer == pytest.approx(3 * 252 * 10 / 500)
    assert found.is_reached


def test_one_decision_of_thousands_does_not_quadruple_the_costs() -> None:
    assert make_repeated(1.0, [0.8, 0.99, *[0.9995] * 10]).equal_draws == 3
    assert make_repeated(0.9, [0.5, 0.896, 0.92]).equal_draws == 2
    assert make_repeated(0.9, [0.5, 0.88, 0.92]).equal_draws == 3
    assert make_repeated(0.9, [0.5, 0.88, 0.92], decisions=200).equal_draws == 2, "of fewer less is known"


def test_a_ratio_is_a_bound_where_the_most_draws_do_not_suffice() -> None:
    found = make_repeated(0.99, [0.5, 0.8])
    assert (found.equal_draws, found.is_reached) == (2, False)
    reached = make_repeated(0.8, [0.5, 0.8])
    figures = describe(found, [found, reached], noise_sd=0.07, losses=36, peers=[10.0])
    assert (figures["is_reached"], figures["share_of_banks_reached"]) == (False, 0.5)
    table = tabulate(figures)
    assert "(b) / (c) at least 1.0" in table
    assert "not right as often as (c)" in table
    assert "in 50% of the banks" in table
    assert (
        "at least"
        not in tabulate(describe(reached, [reached], noise_sd=0.07, losses=36, peers=[10.0])).partition("targets")[0]
    )


def test_a_target_that_is_missed_is_said_to_be_and_one_without_trl_is_not_measured() -> None:
    found = make_repeated(0.7, [0.5, 0.8], peer_s=None)
    figures = describe(found, [found] * 5, noise_sd=0.07, losses=36, peers=[])
    assert json.loads(json.dumps(figures, allow_nan=False))["ratio_vs_exhaustive"] == 1.0
    assert figures["ratio_vs_peer"] is None
    assert [each["verdict"] for each in figures["targets"]] == ["not measured", "missed", "met"]
    table = tabulate(figures)
    assert "misses its target" in table
    assert "not measured" in table


def test_the_same_seed_makes_the_same_decisions() -> None:
    table = make_table(noise=0.3)
    plan = Sample(decisions=20, banks=3, decisions_of_bank=5)
    assert run(table, plan, 0.07, [10.0, 12.0]) == run(table, plan, 0.07, [10.0, 12.0])


def test_the_regret_is_that_of_the_picks() -> None:
    table = make_table(nothing, noise=0.02)
    assert 0.0 < repeat(table, 5, 0.0, [], Random(0)).regret < 0.04
    noisy = make_table(noise=3.0)
    assert repeat(noisy, 20, 0.07, [], Random(0)).regret > 0.2


def test_the_command_prints_what_the_issue_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bank(make_bank(known, TERSE), tmp_path / "bank")
    monkeypatch.setattr(command, "is_trl_here", lambda: True)
    monkeypatch.setattr(command, "measure_peers", lambda _: [9.0, 11.0])
    command.main(["--json", "--bank", str(tmp_path / "bank"), "--decisions", "20", "--banks", "3"])
    told = capsys.readouterr()
    figures = json.loads(told.out)
    assert {"ratio_vs_peer", "ratio_vs_exhaustive", "regret", "noise_sd", "tau", "intervals"} <= figures.keys()
    assert figures["at_all_draws"]["trainings"] == 3024
    assert "extrapolated from 2 processes" in told.err


def test_a_bank_without_decisions_is_told_what_measures_them(tmp_path: Path) -> None:
    write_bank(make_bank(known, "plain:mini"), tmp_path / "bank")
    with pytest.raises(SystemExit, match="--phase decide"):
        command.main(["--bank", str(tmp_path / "bank")])

"""What the benchmark of throughput tells of what it timed."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import evaluations, throughput
from benchmarks.kept import Kept
from benchmarks.throughput_figures import HERE, TRL, TRL_PRECOMPUTE, Row, describe, tabulate


def evaluation(
    way: str, draw: str, j: float, wall_s: float, training_s: float, *, loss: str = "dpo", size: str = "base"
) -> Row:
    key = {"what": "evaluation", "way": way, "size": size, "loss": loss, "draw": draw, "setting": {"steps": 100}}
    seconds = {"training": training_s, "measuring": 1.0}
    return key, {
        "wall_s": wall_s,
        "cpu_s": wall_s / 2,
        "seconds": seconds,
        "step_s": training_s / 100,
        "metrics": {"J": j},
    }


def slots(count: int, evaluations: int, wall_s: float) -> Row:
    return {"what": "slots", "size": "base", "slots": count}, {"evaluations": evaluations, "wall_s": wall_s}


ROWS = [
    *(evaluation(HERE, draw, j, 8.0, 6.0) for draw, j in (("0", 1.0), ("1", 1.3), ("2", 1.1))),
    *(evaluation(TRL_PRECOMPUTE, draw, j, 20.0, 12.0) for draw, j in (("0", 1.1), ("1", 1.2), ("2", 1.1))),
    evaluation(TRL, "0", 1.1, 24.0, 18.0),
    evaluation(HERE, "0", 1.0, 2.8, 1.2, size="mini"),
    slots(1, 3, 30.0),
    slots(2, 6, 32.0),
    (
        {"what": "profile", "size": "base"},
        {"flop_per_step": 6e8, "peak_flop_per_s": 1e11, "measuring_s": 2.0, "sampling_s": 0.5},
    ),
    ({"what": "memory"}, {"rss_bytes": 1_600_000_000, "arenas": 22}),
]


def verdicts(figures: dict[str, Any]) -> dict[str, str]:
    return {each["name"].partition(",")[0]: each["verdict"] for each in figures["targets"]}


def test_ratios_are_those_of_size_base_against_trl_with_precompute() -> None:
    figures = describe(ROWS)
    ratios = figures["ratios"]
    assert figures["ratios_at"] == "base"
    wanted = {"evaluations_per_core_hour": 2.5, "step_time": 0.5, "two_slots": 1.875, "cpu_time": 0.4}
    assert ratios == pytest.approx(wanted)


def test_a_share_counts_sampling_and_not_the_scoring_of_what_was_sampled() -> None:
    share = describe(ROWS)["sizes"]["base"]["share"]
    assert share["steps_and_sampling"] == pytest.approx((6 + 0.25) / 8)
    assert sum(share[each] for each in ("steps", "sampling", "scoring", "rest")) == pytest.approx(1)


def test_j_is_compared_over_draws() -> None:
    j = describe(ROWS)["sizes"]["base"]["j"]
    assert j[TRL_PRECOMPUTE]["mean"] == pytest.approx(0)
    assert j[TRL_PRECOMPUTE]["se"] == pytest.approx(0.1 / 3**0.5)
    # One draw has no spread.
    assert TRL not in j


def test_more_losses_on_the_same_draws_make_no_difference_of_j_more_certain() -> None:
    again = [
        evaluation(key["way"], key["draw"], found["metrics"]["J"], 8.0, 6.0, loss="ipo")
        for key, found in ROWS
        if key["what"] == "evaluation" and key["size"] == "base"
    ]
    once, twice = (describe(rows)["sizes"]["base"]["j"][TRL_PRECOMPUTE] for rows in (ROWS, [*ROWS, *again]))
    assert once.pop("losses")["dpo"]["mean"] == pytest.approx(0)
    assert twice.pop("losses").keys() == {"dpo", "ipo"}
    assert once == twice


def test_two_losses_that_differ_in_opposite_directions_are_seen() -> None:
    apart = [
        evaluation(way, draw, 1.0 + sign * by * (way == HERE), 8.0, 6.0, loss=loss)
        for way in (HERE, TRL_PRECOMPUTE)
        for draw, by in (("0", 0.2), ("1", 0.21))
        for loss, sign in (("dpo", 1), ("ipo", -1))
    ]
    j = describe(apart)["sizes"]["base"]["j"][TRL_PRECOMPUTE]
    assert {loss: round(told["mean"], 3) for loss, told in j["losses"].items()} == {"dpo": 0.205, "ipo": -0.205}


def test_targets_are_met_or_missed_and_never_met_unmeasured() -> None:
    assert verdicts(describe(ROWS)) == {
        "evaluations per core-hour": "met",
        "difference of J": "met",
        "time of an optimiser step": "met",
        "two slots": "met",
        "share in steps and sampling": "missed",
        "an evaluation at mini": "met",
        "a runtime with all arenas warm": "missed",
    }
    assert set(verdicts(describe(ROWS[:3])).values()) == {"not measured"}


def test_the_table_has_every_way_and_every_target() -> None:
    figures = describe(ROWS)
    table = tabulate(figures)
    assert all(text in table for text in (HERE, TRL, TRL_PRECOMPUTE, "missed", "10.0 GFLOP/s"))
    assert json.loads(json.dumps(figures)) == figures


@pytest.mark.parametrize("asked", [["--quick"], ["--quick", "--json"]])
def test_without_trl_the_runtimes_half_is_told_with_a_sentence(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(throughput, "is_trl_here", lambda: False)
    asked_for = []

    def measure(kept: Kept, key: dict[str, Any], _: object) -> dict[str, Any]:
        asked_for.append(key.get("way"))
        return next(found for known, found in ROWS if known["what"] == key["what"])

    monkeypatch.setattr(Kept, "get", measure)
    throughput.main([*asked, "--results", str(tmp_path / "runs.jsonl")])
    told = capsys.readouterr()
    assert evaluations.WITHOUT_TRL in told.err
    assert set(asked_for) == {HERE, None}
    if "--json" in asked:
        assert json.loads(told.out)["ratios"]["evaluations_per_core_hour"] is None
    else:
        assert "not measured" in told.out

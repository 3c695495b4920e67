"""What a tuned library tells of an arena, in words."""

from typing import Any

import pytest

from discovery_service.cli.libraries import tabulate_library, tell_agreement, tell_library


def library(**changes: Any) -> dict[str, Any]:
    between = {"mean": 0.7, "low": 0.6, "high": 0.8, "draws": 12}
    loss = {"settings": [{}], "failed": 0, "value": between, "difference": between, "sd": 0.1}
    known = {
        "draws": 12,
        "base_policies": [0, 1, 2],
        "losses": {
            "dpo": loss | {"difference": None},
            "ipo": loss,
            "slic": loss,
            "exp": loss | {"failed": 2, "value": None, "difference": None},
        },
        "level": 0.975,
        "better": [],
        "worse": [],
        "spread": {"sd": 0.1, "degrees": 3.0},
        "sd": 0.1,
        "detectable": {"difference": 0.1, "draws": 12, "finalists": 3},
        "steps": [],
    }
    return known | changes


def test_each_interval_stands_under_its_level() -> None:
    columns, _ = tabulate_library(library())
    assert columns[4:6] == ("value, 95 %", "less dpo's, 97.5 %")


def test_a_control_says_how_much_was_tested() -> None:
    told = list(tell_library(library()))
    assert told[1].startswith("Of 2 known losses better than dpo")
    assert told[-1] == (
        "A control: none of 2 known losses could be told from dpo; a difference below 0.104 may have been missed."
    )
    assert not any("control" in each for each in tell_library(library(worse=["ipo"])))


def test_where_all_losses_are_as_noisy_no_degrees_are_counted() -> None:
    assert "0.100 with 3.0 degrees of freedom." in next(tell_library(library()))
    alike = {"sd": 0.1, "degrees": 1e6}
    assert "0.100 for every loss alike" in next(tell_library(library(spread=alike)))


@pytest.mark.parametrize(("tau", "stands"), [(0.59, False), (0.6, True)])
def test_a_small_size_that_ranks_otherwise_is_said_not_to_stand_for_the_large_one(tau: float, stands: bool) -> None:
    told = tell_agreement({"with": "plain:base", "tau": tau, "low": 0.1, "high": 0.9, "losses": 20})
    assert ("does not stand for" in told) is not stands

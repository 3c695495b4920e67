"""What a calibration adds to how an arena is shown: whether it is a control, and how far its sizes agree."""

from typing import Any

import pytest

from discovery_service.domain import described_arenas
from discovery_service.domain.arenas import find_document, hash_document
from discovery_service.domain.described_arenas import describe_built_in, describe_operators


def library(effects: dict[str, float], better: list[str]) -> dict[str, Any]:
    losses = {name: {"value": {"mean": effect}} for name, effect in {"dpo": 0.0, **effects}.items()}
    return {"losses": losses, "better": better, "worse": []}


def publish(monkeypatch: pytest.MonkeyPatch, **libraries: dict[str, Any]) -> None:
    found = {}
    for size, told in libraries.items():
        document = find_document(f"terse:{size}")
        assert document is not None
        found[hash_document(document)] = {"name": f"terse:{size}", "base_policies": {}, "library": told}
    monkeypatch.setattr(described_arenas, "find_calibration", found.get)


@pytest.mark.parametrize("better", [[], ["ipo"]])
def test_an_arena_in_which_nothing_differs_is_a_control_whatever_it_was_made_for(
    monkeypatch: pytest.MonkeyPatch, better: list[str]
) -> None:
    found = library({"ipo": 0.1, "slic": 0.2}, better)
    publish(monkeypatch, mini=found)
    told = describe_built_in("terse:mini")
    assert told is not None
    assert told["is_control"] == (not better)
    own = {"name": "support", "family": "pairwise", "counts": "accuracy", "kind": "hf", "models": []}
    # Of an operator's where something differs, nobody knows what else does.
    assert describe_operators(own, {"library": found})["is_control"] is (None if better else True)


def test_the_sizes_are_told_how_far_they_agree_once_both_are_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    mini = library({"ipo": 0.1, "slic": 0.2, "exp": 0.3}, [])
    publish(monkeypatch, mini=mini)
    alone = describe_built_in("terse:mini")
    assert alone is not None
    assert "agreement" not in alone["calibration"]
    publish(monkeypatch, mini=mini, base=library({"ipo": -0.1, "slic": -0.2, "exp": -0.3}, []))
    for size, other in (("mini", "terse:base"), ("base", "terse:mini")):
        told = describe_built_in(f"terse:{size}")
        assert told is not None
        assert (told["calibration"]["agreement"]["with"], told["calibration"]["agreement"]["tau"]) == (other, -1)


def test_a_pair_of_which_one_half_ranks_nothing_is_shown_without_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, mini=library({"ipo": 0.1, "slic": 0.2}, []), base=library({}, []))
    told = describe_built_in("terse:mini")
    assert told is not None
    assert told["calibration"]["agreement"] is None

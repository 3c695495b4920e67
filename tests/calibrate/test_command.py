"""What is measured of a built-in arena again, and what is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discovery_service.domain import published
from discovery_service.domain.arenas import find_document
from discovery_service.losses import shipped
from workers.calibrate import command, publishing
from workers.calibrate.command import calibrate_built_in

PLAIN = find_document("plain:base") or {}
FEW = ["ipo", "slic"]


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """The losses of each time that the library was measured, which here takes no training."""
    times: list[list[str]] = []

    def measure(_document: Any, names: list[str], *_: Any) -> dict[str, Any]:
        times.append(names)
        return {"losses": {name: {"value": None} for name in names}, "better": ["ipo"], "worse": []}

    for module in (published, publishing):
        monkeypatch.setattr(module, "published_path", lambda: tmp_path / "published.json")
    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(command, "_measure_policy", lambda *_, **__: None)
    published.read_published.cache_clear()
    yield times
    published.read_published.cache_clear()


def calibrate(wanted: list[str], *, again: bool = False) -> dict[str, Any]:
    (found,) = calibrate_built_in([PLAIN], wanted, lambda _: None, again=again)
    return found


def test_of_both_sizes_it_is_told_how_far_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(_document: Any, names: list[str], *_: Any) -> dict[str, Any]:
        losses = {name: {"value": {"mean": float(place)}} for place, name in enumerate(names)}
        return {"losses": losses, "better": [], "worse": []}

    monkeypatch.setattr(command, "measure", measure)
    documents = [find_document(f"plain:{size}") or {} for size in ("mini", "base")]
    _, base = calibrate_built_in(documents, FEW, lambda _: None, again=False)
    assert (base["agreement"]["with"], base["agreement"]["tau"]) == ("plain:mini", 1)


@pytest.mark.parametrize("again", [False, True])
def test_what_is_published_never_becomes_less(measured: list[list[str]], again: bool) -> None:
    calibrate([*FEW, "exp"])
    found = calibrate(["simpo", "slic"], again=again)
    assert measured[1] == ["dpo", "ipo", "slic", "exp", "simpo"]
    assert found["library"]["losses"].keys() == {"dpo", "simpo", *FEW, "exp"}


def test_what_is_known_is_not_measured_again(measured: list[list[str]]) -> None:
    calibrate([*FEW, "exp"])
    calibrate(FEW)
    assert len(measured) == 1


def test_what_was_measured_by_another_trainer_is_not_known(
    measured: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate([*FEW, "exp"])
    monkeypatch.setattr(shipped, "TRAINER", shipped.TRAINER + 1)
    calibrate(FEW)
    assert measured[1] == ["dpo", *FEW, "exp"]


def test_what_was_measured_with_another_plan_is_not_known(
    measured: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate(FEW)
    plan = shipped.find_plan(PLAIN)
    monkeypatch.setattr(shipped, "find_plan", lambda _: type(plan)(plan.start, plan.with_beta, plan.without_beta, 3))
    calibrate(FEW)
    assert len(measured) == 2

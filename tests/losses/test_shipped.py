"""Settings ship only where tuning today would be the tuning that found them."""

from typing import Any

import pytest

from discovery_service.domain.arenas import find_document
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.measuring import Setting
from discovery_service.domain.published import find_calibration, read_published
from discovery_service.losses import shipped
from discovery_service.losses.shipped import find_conditions, list_shipped

FIRST, SECOND = Setting(1.0, 1.5e-3, 120), Setting(2.0, 1.5e-3, 120)


def document() -> dict[str, Any]:
    found = find_document("plain:mini")
    assert found is not None
    return found


def calibration(**changes: Any) -> dict[str, Any]:
    settings = {"dpo": [FIRST, SECOND], "ipo": [SECOND], "slic": []}
    losses = {name: {"settings": [each.document() for each in found]} for name, found in settings.items()}
    library = {"losses": losses, "measured_with": find_conditions(document(), ["dpo", "ipo", "slic"])}
    return {"library": library | changes}


def test_what_ships_are_the_settings_that_tuning_ended_with_the_chosen_one_first() -> None:
    # Where every training failed there is nothing to take.
    assert list_shipped(document(), calibration()) == {"dpo": (FIRST, SECOND), "ipo": (SECOND,)}


def test_nothing_ships_without_a_calibration_or_without_the_word_how_it_was_measured() -> None:
    assert list_shipped(document(), None) == {}
    assert list_shipped(document(), {"base_policies": {}}) == {}
    assert list_shipped(document(), {"library": {"spread": {}, "sd": 0.1}}) == {}
    assert list_shipped(document(), calibration(measured_with=None)) == {}


@pytest.mark.parametrize("change", ["trainer", "plan", "graph"])
def test_what_was_measured_under_other_conditions_does_not_ship(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = calibration()
    if change == "trainer":
        monkeypatch.setattr(shipped, "TRAINER", shipped.TRAINER + 1)
    elif change == "plan":
        plan = shipped.find_plan(document())
        other = type(plan)(plan.start, plan.with_beta, plan.without_beta, 3)
        monkeypatch.setattr(shipped, "find_plan", lambda _: other)
    else:
        described = dict(shipped.list_described(shipped.Family.PAIRWISE))
        monkeypatch.setattr(shipped, "list_described", lambda _: described | {"ipo": described["slic"]})
    assert list_shipped(document(), known) == {}


def test_what_the_package_has_published_of_its_arenas_still_ships() -> None:
    """Else every campaign tunes its library anew: `discovery arena calibrate` measures it again."""
    published = {each["name"]: key for key, each in read_published()["arenas"].items() if "library" in each}
    assert {"panel:mini", "terse:mini", "plain:mini"} <= set(published)
    for name, key in published.items():
        arena = find_document(name)
        assert arena is not None
        assert REFERENCE_LOSSES[arena["family"]] in list_shipped(arena, find_calibration(key)), name

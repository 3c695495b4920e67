"""What a tuned library tells of an arena, on values whose truth is known."""

import json
import random
from collections.abc import Mapping

import pytest

from discovery_service.domain.calibration import (
    Incomparable,
    Tuned,
    describe_agreement,
    describe_library,
    describe_steps,
    is_without_spread,
    read_spread,
)
from discovery_service.domain.confirming import compare
from discovery_service.domain.differences import Occasion
from discovery_service.domain.measuring import Setting
from discovery_service.domain.power import find_detectable

SETTINGS = (Setting(1.0, 1.5e-3, 120),)
OCCASIONS = [Occasion(draw % 3, str(draw)) for draw in range(12)]
NOISE = {"dpo": 0.0, "ipo": 0.05, "slic": 0.1, "cdpo": 0.03, "exp": 0.2}


def at_best(values: Mapping[Occasion, float | None]) -> Tuned:
    return Tuned(SETTINGS, {SETTINGS[0]: values})


def library(gains: Mapping[str, float] | None = None, seed: int = 0) -> dict[str, Tuned]:
    """Losses that share the draws' own ups and downs, with noise of their own beside."""
    chance = random.Random(seed)
    common = {at: chance.gauss(1, 0.3) for at in OCCASIONS}
    gains = gains or {}
    return {
        name: at_best({at: common[at] + gains.get(name, 0.0) + chance.gauss(0, sd) for at in OCCASIONS})
        for name, sd in NOISE.items()
    }


def test_only_losses_that_differ_from_dpo_are_said_to() -> None:
    assert is_without_spread(describe_library(library()))
    told = describe_library(library({"ipo": 0.5, "slic": -0.5}))
    assert (told["better"], told["worse"]) == (["ipo"], ["slic"])
    assert not is_without_spread(told)
    for gain in (0.5, -0.5):
        assert not is_without_spread(describe_library(library({"ipo": gain})))


def test_of_many_arenas_without_spread_few_are_said_to_have_some() -> None:
    told = [describe_library(library(seed=seed)) for seed in range(200)]
    assert sum(not is_without_spread(each) for each in told) <= 20


def test_noise_is_that_of_the_differences_and_what_is_found_follows_from_it() -> None:
    told = describe_library(library())
    own = sorted(loss["sd"] for loss in told["losses"].values() if loss["sd"] is not None)
    assert own[2] < told["sd"] < own[3]
    assert told["losses"]["cdpo"]["sd"] < told["losses"]["exp"]["sd"] / 3
    assert told["detectable"]["difference"] == pytest.approx(
        find_detectable(sd=told["sd"], draws=12, finalists=3), abs=1e-3
    )
    assert 0.03 < read_spread(told).sd < 0.2


def test_a_loss_that_is_dpo_up_to_rounding_neither_differs_nor_tells_of_noise() -> None:
    losses = library()
    values = losses["dpo"].values[SETTINGS[0]].items()
    same = {at: (value or 0.0) + 2e-4 + 1e-5 * number for number, (at, value) in enumerate(values)}
    told = describe_library({**losses, "softplus": at_best(same)})
    plain = describe_library(losses)
    assert (told["better"], told["worse"], told["losses"]["softplus"]["sd"]) == ([], [], 0)
    assert (told["sd"], told["spread"]) == (plain["sd"], plain["spread"])


def test_a_loss_that_is_better_than_dpo_at_the_worse_of_its_settings_alone_is_not_said_to_be() -> None:
    losses, other = library({"ipo": 0.5}), Setting(2.0, 1.5e-3, 120)
    at_worse = losses["dpo"].values[SETTINGS[0]]
    at_other = {
        at: (value or 0.0) + 0.5 + 0.05 * NOISE["slic"] * number for number, (at, value) in enumerate(at_worse.items())
    }
    losses["dpo"] = Tuned((*SETTINGS, other), {SETTINGS[0]: at_worse, other: at_other})
    told = describe_library(losses)
    assert "ipo" in describe_library({**losses, "dpo": at_best(at_worse)})["better"]
    assert "ipo" not in told["better"]
    assert [each["beta"] for each in told["losses"]["dpo"]["settings"]] == [1.0, 2.0]
    assert told["detectable"]["difference"] == pytest.approx(
        find_detectable(sd=told["sd"], draws=12, finalists=3, met=2), rel=1e-3
    )
    losses["dpo"] = Tuned((*SETTINGS, other), {SETTINGS[0]: at_worse, other: {**at_other, OCCASIONS[0]: None}})
    with pytest.raises(Incomparable, match="dpo failed"):
        describe_library(losses)


def test_no_number_stands_without_its_interval() -> None:
    told = describe_library(library())
    for name, loss in told["losses"].items():
        assert loss["value"]["low"] < loss["value"]["mean"] < loss["value"]["high"]
        assert (loss["difference"] is None) == (name == "dpo")


def test_a_loss_that_failed_somewhere_is_told_and_not_compared() -> None:
    failing = library()
    failing["ipo"] = at_best({**failing["ipo"].values[SETTINGS[0]], OCCASIONS[3]: None})
    failing["aot"] = Tuned((), {})
    told = describe_library(failing)
    assert [told["losses"][name]["failed"] for name in ("ipo", "aot", "slic")] == [1, 0, 0]
    assert told["losses"]["ipo"]["difference"] is told["losses"]["aot"]["value"] is None
    assert told["level"] == pytest.approx(1 - 0.05 / 3)


def test_without_dpo_nothing_can_be_said() -> None:
    failing = library()
    failing["dpo"] = at_best({**failing["dpo"].values[SETTINGS[0]], OCCASIONS[0]: None})
    with pytest.raises(Incomparable, match="dpo failed"):
        describe_library(failing)


@pytest.mark.parametrize("policies", [1, 2, 3])
def test_what_is_found_follows_from_the_noise_with_as_many_base_policies_as_there_are(policies: int) -> None:
    def move(tuned: Tuned) -> Tuned:
        values = tuned.values[SETTINGS[0]]
        return at_best({Occasion(int(at.draw) % policies, at.draw): each for at, each in values.items()})

    told = describe_library({name: move(each) for name, each in library().items()})
    expected = find_detectable(sd=told["sd"], draws=12, finalists=3, policies=policies)
    assert told["detectable"]["difference"] == pytest.approx(expected, abs=1e-3)


def test_where_nothing_but_one_loss_differs_from_dpo_nothing_can_be_said() -> None:
    losses = library()
    with pytest.raises(Incomparable, match="fewer than two"):
        describe_library({"dpo": losses["dpo"], "ipo": losses["ipo"], "slic": losses["dpo"]})
    with pytest.raises(Incomparable, match="fewer than two"):
        describe_library({"dpo": losses["dpo"]})


def test_two_arenas_agree_as_far_as_they_rank_alike() -> None:
    gains = {"ipo": 1.0, "slic": -1.0, "cdpo": 2.0, "exp": -2.0}
    here = describe_library(library(gains, seed=1))
    there = describe_library(library(gains, seed=2))
    against = describe_library(library({name: -gain for name, gain in gains.items()}, seed=3))
    assert (describe_agreement("there", here, there) or {})["tau"] == 1
    assert (describe_agreement("against", here, against) or {})["tau"] == -1


def test_where_nothing_is_ranked_nothing_agrees() -> None:
    some = library()
    whole = describe_library(some)
    ipo_alone = {**whole, "losses": {name: whole["losses"][name] for name in ("dpo", "ipo")}}
    no_effect = {name: each | {"value": whole["losses"]["dpo"]["value"]} for name, each in whole["losses"].items()}
    for other in (ipo_alone, {**whole, "losses": no_effect}):
        assert describe_agreement("other", whole, other) is None
        assert describe_agreement("other", other, whole) is None


def test_other_numbers_of_steps_are_told_beside_the_noise() -> None:
    planned = library()["dpo"]
    more: dict[Occasion, float | None] = {at: value + 0.1 for at, value in (planned.succeeded_at_best() or {}).items()}
    failed: dict[Occasion, float | None] = {**more, OCCASIONS[0]: None}
    told = describe_steps(planned, {60: failed, 240: more}, noise=0.05)
    assert [each["steps"] for each in told] == [60, 240]
    assert [each["gains_less_than_noise"] for each in told] == [None, False]
    assert told[0]["difference"] is None
    assert told[1]["difference"]["mean"] == pytest.approx(0.1)
    for noise, expected in ((0.2, True), (None, None)):
        assert describe_steps(planned, {240: more}, noise)[0]["gains_less_than_noise"] is expected


def test_a_gain_from_other_steps_is_below_the_noise_only_with_its_whole_interval_of_95_percent() -> None:
    planned, chance = library()["dpo"], random.Random(1)
    gains = {at: chance.gauss(0.1, 0.05) for at in OCCASIONS}
    more: dict[Occasion, float | None] = {
        at: value + gains[at] for at, value in (planned.succeeded_at_best() or {}).items()
    }
    interval = compare(gains, 1).interval
    assert interval.low is not None
    assert interval.high is not None
    (told,) = describe_steps(planned, {240: more}, noise=None)
    assert (told["difference"]["low"], told["difference"]["high"]) == pytest.approx(
        (interval.low, interval.high), abs=1e-4
    )
    wanted = {interval.low - 0.001: False, interval.mean + 0.001: None, interval.high + 0.001: True}
    for noise, expected in wanted.items():
        assert describe_steps(planned, {240: more}, noise)[0]["gains_less_than_noise"] is expected


def test_it_can_be_published() -> None:
    told = describe_library(library())
    assert json.loads(json.dumps(told, allow_nan=False)) == told

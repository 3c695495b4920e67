"""A plan is data that holds together: as many trainings for every loss, and no setting under two keys."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.arenas import arena_names, find_document
from discovery_service.domain.measuring import Setting
from discovery_service.domain.tuning_plans import AXES, Point, Shift, find_plan, make_plan
from discovery_service.domain.user_arenas import Contents, UserArena, make_document
from tests.domain.tuned import MINI, PLANS, RICHER

SHA = "0" * 64


def operators(**fields: Any) -> dict[str, Any]:
    smallest = {"name": "support", "model_name_or_path": "m", "data": "d.jsonl", "max_steps": 10, "counts": "accuracy"}
    arena = UserArena.model_validate(smallest | fields)
    return make_document(arena, Contents(models_sha256=[SHA], data_sha256=SHA))


STARTS = {
    **{(family, "mini"): (1.5e-3, 5e-4, 120) for family in ("pairwise", "auxiliary")},
    ("pairwise", "base"): (1e-3, 3.33e-4, 120),
    ("outcome", "mini"): (5e-4, 1.67e-4, 120),
    ("matching", "mini"): (5e-3, 1.67e-3, 240),
}
"""Learning rate, the one below it, steps."""


@pytest.mark.parametrize("name", arena_names())
def test_a_built_in_arena_is_tuned_around_its_own_start(name: str) -> None:
    document = find_document(name) or {}
    plan, (rate, lower, steps) = find_plan(document), STARTS[document["family"], name.partition(":")[2]]
    first = {plan.setting_at(point) for point in plan.with_beta.first}
    assert first == {Setting(beta, rate, steps) for beta in (0.25, 1, 4)}
    assert plan.setting_at(Point(rungs=1)) == Setting(1, lower, steps)
    assert (plan.first_trainings, plan.trainings) == (7, 11)


def test_an_operators_arena_is_tuned_around_its_own_setting() -> None:
    plan = find_plan(operators(beta=0.1, learning_rate=1e-6, max_steps=50))
    first = {plan.setting_at(point) for point in plan.with_beta.first}
    assert first == {Setting(beta, 1e-6, 50) for beta in (0.025, 0.1, 0.4)}
    assert plan.setting_at(Point(rungs=1)) == Setting(0.1, 3.33e-7, 50)
    assert (plan.first_trainings, plan.trainings) == (7, 11)


@given(st.floats(1e-6, 1e6), st.floats(1e-12, 1), st.integers(1, 100_000))
def test_there_is_a_plan_around_every_ordinary_setting_and_it_starts_there(
    beta: float, rate: float, steps: int
) -> None:
    start = Setting(beta, rate, steps)
    plan = make_plan(start)
    assert plan.trainings == 11
    assert plan.with_beta.first[0] == plan.without_beta.first[0] == Point()
    assert plan.setting_at(Point()) == start


@pytest.mark.parametrize("start", [0.1, 0.3, 0.7, 1.1])
def test_octaves_of_beta_are_the_numbers_that_anyone_would_write(start: float) -> None:
    plan = make_plan(Setting(start, 1e-3, 10))
    betas = [plan.setting_at(Point(octaves=by)).beta for by in (-2, -1, 0, 1, 2)]
    assert betas == [start / 4, start / 2, start, start * 2, start * 4]
    assert plan.setting_at(Point(octaves=1)).beta == float(f"{2 * start:.12g}")


def test_rungs_of_the_rate_are_the_numbers_that_anyone_would_write() -> None:
    rates = [MINI.setting_at(Point(rungs=by)).learning_rate for by in range(4)]
    assert rates == [1.5e-3, 5e-4, 1.67e-4, 5.56e-5]


@given(st.sampled_from(list(PLANS.values())), st.booleans(), st.data())
def test_no_two_points_within_reach_are_one_setting(plan: Any, uses_beta: bool, data: Any) -> None:
    walk = plan.walk(uses_beta=uses_beta)
    within = st.builds(Point, *(st.integers(walk.low.on(axis), walk.high.on(axis)) for axis in AXES))
    one, other = data.draw(within), data.draw(within)
    assert (plan.setting_at(one) == plan.setting_at(other)) == (one == other)


def test_it_is_data() -> None:
    written = [json.dumps(plan.document(), allow_nan=False) for plan in PLANS.values()]
    assert len(set(written)) == len(PLANS)
    assert make_plan(MINI.start).document() == MINI.document()
    assert (RICHER.first_trainings, RICHER.trainings) == (12, 24)


@pytest.mark.parametrize(
    ("walk", "says"),
    [
        ({"first": (Point(), Point(), Point(octaves=2))}, "different ones"),
        ({"first": (Point(), Point(octaves=13), Point(octaves=2))}, "within reach"),
        ({"first": (Point(), Point(octaves=2))}, "as many trainings"),
        ({"then": ((Shift(3, "octaves", 1),) * 4,)}, "rank"),
        ({"low": Point(octaves=-2), "high": Point(octaves=2)}, "fewer settings"),
        ({"low": Point(octaves=-1100)}, "no loss can be trained"),
        ({"high": Point(octaves=1100)}, "beyond all numbers"),
        ({"low": Point(octaves=-12, doublings=-7)}, "no loss can be trained"),
    ],
)
def test_a_plan_that_does_not_hold_together_is_refused(walk: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(MINI, with_beta=replace(MINI.with_beta, **walk))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"finalists": 0}, "finalist"),
        ({"finalists": 8}, "finalist"),
        ({"draws": 0}, "draw"),
        ({"rate_ratio": 1.0}, "rungs within reach are one setting"),
        ({"rate_ratio": 0.0}, "beyond all numbers"),
        ({"rate_ratio": float("nan")}, "no loss can be trained"),
        ({"start": Setting(0.0, 1e-3, 10)}, "no loss can be trained"),
        ({"start": Setting(1.0, 1e-3, 1)}, "no loss can be trained"),
    ],
)
def test_numbers_that_make_no_plan_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(MINI, **changes)

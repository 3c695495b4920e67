"""The freeze: who gets into it, and that its draws depend on it and on nothing else."""

from itertools import permutations
from typing import Any

import pytest

from discovery_service.domain.freezing import (
    ConfirmationPlan,
    Frozen,
    Role,
    SdSource,
    TooFewDraws,
    check_spread,
    find_digest,
    list_confirm_draws,
    pick_best,
    plan_confirmation,
)
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting, Stream
from discovery_service.domain.power import count_draws, find_detectable
from discovery_service.domain.states import Purpose

SETTING = Setting(1.0, 1.5e-3, 120)
FROZEN = (
    Frozen(Role.FINALIST, "a" * 64, SETTING),
    Frozen(Role.REFERENCE, "b" * 64, SETTING),
    Frozen(Role.REFERENCE, "c" * 64, Setting(0.25, 5e-4, 120)),
)

PLAN: dict[str, Any] = {"arena_sha256": "arena", "seed": 0, "base_policies": (0, 1, 2), "draws": 9}


def interval(low: float | None, high: float | None = None) -> Interval:
    return Interval(mean=0.1, low=low, high=high, draws=3)


def test_the_best_are_those_of_the_highest_lower_bound() -> None:
    screened = {
        "wide": interval(-0.3, 2.0),
        "sure": interval(0.1, 0.2),
        "alone": interval(None),
        "late": interval(0.1, 1),
    }
    assert pick_best(screened, 2) == ["sure", "late"]
    assert pick_best(screened, 9) == ["sure", "late", "wide"]
    assert pick_best({}, 3) == []


def test_the_digest_is_of_what_is_frozen_in_whatever_order() -> None:
    assert len({find_digest(each, **PLAN) for each in permutations(FROZEN)}) == 1
    first = FROZEN[0]
    others = [
        Frozen(Role.REFERENCE, first.graph_sha256, first.setting),
        Frozen(first.role, "d" * 64, first.setting),
        Frozen(first.role, first.graph_sha256, Setting(1.0, 1.5e-3, 119)),
    ]
    changed = [[each, *FROZEN[1:]] for each in [first, *others]]
    assert len({find_digest(each, **PLAN) for each in [*changed, FROZEN[1:]]}) == 5


def test_what_was_sealed_before_there_were_extensions_stays_sealed() -> None:
    """The digest as version 0.1 computed it; at each look it is computed again."""
    assert find_digest(FROZEN, **PLAN) == "3e2bfde001b0428cf942149679b227a2e3c1341e347ea05314566b0179f3673a"


@pytest.mark.parametrize(
    "changed",
    [{"arena_sha256": "another"}, {"seed": 1}, {"base_policies": (0, 1)}, {"draws": 18}, {"extension": 1}],
    ids=str,
)
def test_the_digest_is_of_the_arena_the_seed_and_the_plan_of_draws_too(changed: dict[str, Any]) -> None:
    """Whoever asks for more draws after having seen the first gets others, and none that go on where those ended."""
    digests = [find_digest(FROZEN, **PLAN), find_digest(FROZEN, **PLAN | changed)]
    first, other = ({draw for _, draw in list_confirm_draws(each, (0, 1, 2), 18)} for each in digests)
    assert not first & other


def test_confirm_draws_repeat_and_are_fresh_for_any_other_freeze() -> None:
    first = list_confirm_draws("digest", (0, 1, 2), 12)
    assert first == list_confirm_draws("digest", (0, 1, 2), 12)
    other = list_confirm_draws("changed", (0, 1, 2), 12)
    assert len({draw.seed(Stream.LABELS) for draws in (first, other) for _, draw in draws}) == 24
    assert {draw.purpose for _, draw in first} == {Purpose.CONFIRM}


@pytest.mark.parametrize(("policies", "count"), [((0, 1, 2), 12), ((0,), 2), ((4, 7), 10)])
def test_every_base_policy_gets_as_many(policies: tuple[int, ...], count: int) -> None:
    check_spread(policies, count)
    drawn = [policy for policy, _ in list_confirm_draws("digest", policies, count)]
    assert {drawn.count(policy) for policy in policies} == {count // len(policies)}


@pytest.mark.parametrize(("policies", "count"), [((0, 1, 2), 10), ((0, 1, 2), 3), ((0,), 1)])
def test_a_policy_with_fewer_draws_than_others_or_with_one_is_refused(policies: tuple[int, ...], count: int) -> None:
    with pytest.raises(ValueError, match="must be a multiple"):
        check_spread(policies, count)


def plan(**changes: Any) -> ConfirmationPlan:
    given = {
        "detect": 0.2,
        "at_least": 12,
        "sd": 0.2,
        "sd_source": SdSource.CALIBRATION,
        "finalists": 3,
        "looked_at": 9,
    }
    return plan_confirmation(**given | {"base_policies": (0, 1, 2)} | changes)


def test_a_plan_takes_as_many_draws_as_the_difference_needs_and_says_what_they_find() -> None:
    found = plan()
    assert found.draws == count_draws(0.2, sd=0.2, finalists=3)
    assert found.detectable == find_detectable(sd=0.2, draws=found.draws, finalists=3)
    assert found.detectable <= 0.2
    assert found.level == pytest.approx(1 - 0.05 / 3)
    hopeless = plan(sd=1.0)
    assert (hopeless.draws, hopeless.detectable) == (60, find_detectable(sd=1.0, draws=60, finalists=3))
    unknown = plan(sd=None, sd_source=SdSource.NOTHING)
    assert (unknown.draws, unknown.detectable) == (12, None)


@pytest.mark.parametrize(("policies", "at_least"), [(1, 9), (2, 9), (4, 12), (5, 12), (7, 60), (30, 12), (31, 12)])
def test_a_plan_spreads_over_as_many_policies_as_an_arena_has(policies: int, at_least: int) -> None:
    for sd in (0.01, 0.2, 2.0, None):
        found = plan(base_policies=tuple(range(policies)), at_least=at_least, sd=sd)
        check_spread(found.base_policies, found.draws)
        assert min(at_least, 60 - policies) <= found.draws
        assert found.draws <= max(60, 2 * policies)


@pytest.mark.parametrize(("at_most", "draws"), [(100, 60), (60, 60), (59, 57), (20, 18), (6, 6)])
def test_what_a_budget_leaves_caps_the_draws_and_the_plan_says_what_so_many_find(at_most: int, draws: int) -> None:
    found = plan(sd=1.0, at_least=12, at_most=at_most)
    assert found.draws == draws
    assert found.detectable == find_detectable(sd=1.0, draws=draws, finalists=3)
    check_spread(found.base_policies, found.draws)


@pytest.mark.parametrize(("at_most", "at_least", "policies"), [(5, 12, 3), (8, 18, 3), (-4, 12, 3), (9, 12, 5)])
def test_less_than_half_of_the_draws_or_two_a_policy_is_no_confirmation(
    at_most: int, at_least: int, policies: int
) -> None:
    with pytest.raises(TooFewDraws, match=f"the budget leaves {max(at_most, 0)}"):
        plan(at_most=at_most, at_least=at_least, base_policies=tuple(range(policies)))


def test_a_budget_that_leaves_enough_changes_nothing() -> None:
    assert plan(at_most=60) == plan()

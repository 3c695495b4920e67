"""The freeze: who gets into it, and that its draws depend on it and on nothing else."""

from itertools import permutations

import pytest

from discovery_service.domain.freezing import (
    Frozen,
    Role,
    check_spread,
    find_digest,
    list_confirm_draws,
    pick_best,
)
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting, Stream
from discovery_service.domain.states import Purpose

SETTING = Setting(1.0, 1.5e-3, 120)
FROZEN = (
    Frozen(Role.FINALIST, "a" * 64, SETTING),
    Frozen(Role.REFERENCE, "b" * 64, SETTING),
    Frozen(Role.REFERENCE, "c" * 64, Setting(0.25, 5e-4, 120)),
)


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
    assert len({find_digest(each) for each in permutations(FROZEN)}) == 1
    first = FROZEN[0]
    others = [
        Frozen(Role.REFERENCE, first.graph_sha256, first.setting),
        Frozen(first.role, "d" * 64, first.setting),
        Frozen(first.role, first.graph_sha256, Setting(1.0, 1.5e-3, 119)),
    ]
    assert len({find_digest([each, *FROZEN[1:]]) for each in [first, *others]} | {find_digest(FROZEN[1:])}) == 5


def test_confirm_draws_repeat_and_are_fresh_for_any_other_freeze() -> None:
    first = list_confirm_draws("arena", 0, "digest", (0, 1, 2), 12)
    assert first == list_confirm_draws("arena", 0, "digest", (0, 1, 2), 12)
    others = [
        list_confirm_draws("another", 0, "digest", (0, 1, 2), 12),
        list_confirm_draws("arena", 1, "digest", (0, 1, 2), 12),
        list_confirm_draws("arena", 0, "changed", (0, 1, 2), 12),
    ]
    seeds = [draw.seed(Stream.LABELS) for draws in (first, *others) for _, draw in draws]
    assert len(set(seeds)) == 48
    assert {draw.purpose for _, draw in first} == {Purpose.CONFIRM}


def test_more_draws_go_on_where_fewer_ended() -> None:
    assert (
        list_confirm_draws("arena", 0, "digest", (0, 1, 2), 9)
        == (list_confirm_draws("arena", 0, "digest", (0, 1, 2), 21)[:9])
    )


@pytest.mark.parametrize(("policies", "count"), [((0, 1, 2), 12), ((0,), 2), ((4, 7), 10)])
def test_every_base_policy_gets_as_many(policies: tuple[int, ...], count: int) -> None:
    check_spread(policies, count)
    drawn = [policy for policy, _ in list_confirm_draws("arena", 0, "digest", policies, count)]
    assert {drawn.count(policy) for policy in policies} == {count // len(policies)}


@pytest.mark.parametrize(("policies", "count"), [((0, 1, 2), 10), ((0, 1, 2), 3), ((0,), 1)])
def test_a_policy_with_fewer_draws_than_others_or_with_one_is_refused(policies: tuple[int, ...], count: int) -> None:
    with pytest.raises(ValueError, match="must be a multiple"):
        check_spread(policies, count)

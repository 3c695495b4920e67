"""What still fits beside what is committed, and never a slot more."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.budget import Spend, count_slots, expect_time, find_bounds, find_reached, is_wider
from discovery_service.domain.campaign import Budgets

SPENDS = st.builds(
    Spend,
    candidates=st.integers(0, 3),
    evaluations=st.integers(0, 40),
    tokens=st.integers(0, 9000),
    cost_usd=st.decimals(0, 1, places=4),
    device_seconds=st.floats(0, 100),
)
BUDGETS = st.builds(
    Budgets,
    candidates=st.integers(1, 20),
    evaluations=st.none() | st.integers(0, 400),
    tokens=st.none() | st.integers(0, 50_000),
    cost_usd=st.none() | st.floats(0, 5),
    device_seconds=st.none() | st.floats(0, 500),
)


@given(BUDGETS, SPENDS, st.lists(SPENDS, max_size=8))
def test_what_fits_exceeds_nothing_and_one_more_would(budgets: Budgets, committed: Spend, slots: list[Spend]) -> None:
    fitting = count_slots(budgets, committed, slots)
    total = sum(slots[:fitting], committed)
    assert not fitting or not list(find_bounds(budgets, total))
    if fitting < len(slots):
        assert list(find_bounds(budgets, total + slots[fitting]))


@pytest.mark.parametrize(
    ("budget", "spend"),
    [
        ({"candidates": 4}, {"candidates": 5}),
        ({"evaluations": 0}, {"evaluations": 1}),
        ({"tokens": 100}, {"tokens": 101}),
        ({"cost_usd": 0.1}, {"cost_usd": Decimal("0.100001")}),
        ({"device_seconds": 1.0}, {"device_seconds": 1.5}),
        ({"wall_time_s": 60.0}, {"wall_time_s": 61.0}),
    ],
)
def test_each_budget_binds_and_is_named(budget: dict[str, float], spend: dict[str, float]) -> None:
    (bound,) = find_bounds(Budgets(**budget), Spend(**spend))
    assert bound.name in budget
    assert bound.wanted > bound.limit


def test_what_is_exactly_the_limit_fits() -> None:
    assert not list(find_bounds(Budgets(cost_usd=0.3), Spend(cost_usd=Decimal("0.1") * 3)))
    assert count_slots(Budgets(candidates=4), Spend(candidates=1), [Spend(candidates=1)] * 8) == 3


@pytest.mark.parametrize(
    ("change", "wider"),
    [
        ({"candidates": 13}, True),
        ({"candidates": 12}, False),
        ({"tokens": None}, True),
        ({"tokens": 9, "patience": 4}, True),
        ({"tokens": 9, "patience": 2}, False),
        ({"evaluations": 5}, False),
        ({"target": 0.6}, True),
    ],
)
def test_wider_is_a_limit_further_away_or_gone(change: dict[str, float | None], wider: bool) -> None:
    before = {"candidates": 12, "tokens": 10, "patience": 3, "target": 0.5}
    assert is_wider(Budgets.model_validate(before), Budgets.model_validate(before | change)) is wider


@given(
    st.integers(1, 300),
    st.integers(0, 60),
    st.lists(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=4), max_size=10),
    st.integers(1, 3),
)
def test_whatever_rounds_come_to_their_campaign_keeps_within_its_budget(
    limit: int, kept: int, rounds: list[list[tuple[int, float]]], max_open: int
) -> None:
    """Rounds overlap: those that are not seen yet count at their worst. At the end all of what was kept is spent."""
    budgets = Budgets(evaluations=limit)
    worst: list[int] = []
    came_to: list[int] = []
    for number, slots in enumerate(rounds):
        seen = max(0, number - max_open + 1)
        committed = Spend(evaluations=kept + sum(came_to[:seen]) + sum(worst[seen:]))
        fitting = count_slots(budgets, committed, [Spend(evaluations=most) for most, _ in slots])
        worst.append(sum(most for most, _ in slots[:fitting]))
        came_to.append(sum(int(most * share) for most, share in slots[:fitting]))
        assert sum(came_to) + kept <= max(limit, kept)


@given(
    st.floats(1, 100),
    st.integers(1, 4),
    st.integers(0, 30),
    st.lists(st.floats(0.01, 20), min_size=1, max_size=60),
)
def test_time_is_exceeded_by_no_more_than_what_was_in_flight(
    limit: float, slots: int, kept: int, durations: list[float]
) -> None:
    """With a look before each that is begun, as many as there are slots run at a time."""
    budgets = Budgets(device_seconds=limit)
    spent, measured, in_flight, running = 0.0, 0, [], 0.0
    for duration in durations:
        if len(in_flight) == slots:
            spent, measured = spent + in_flight.pop(0), measured + 1
        end = expect_time(kept, measured=measured, device_seconds=spent, slots=slots)
        if find_reached(budgets, Spend(device_seconds=spent) + end) is not None:
            break
        assert spent + end.device_seconds < limit
        in_flight.append(duration)
        running = sum(in_flight)
    assert spent + sum(in_flight) <= limit + running + 1e-9


def test_the_end_is_expected_to_be_like_what_was_measured_and_takes_all_slots() -> None:
    assert expect_time(36, measured=10, device_seconds=15.0, slots=2) == Spend(device_seconds=54.0, wall_time_s=27.0)
    # Where no worker lives, nobody knows how many will.
    assert expect_time(36, measured=10, device_seconds=15.0, slots=0).wall_time_s == 54.0
    assert expect_time(36, measured=0, device_seconds=0.0, slots=2) == Spend()


@pytest.mark.parametrize("name", ["device_seconds", "wall_time_s"])
def test_a_budget_of_time_is_reached_where_nothing_of_it_is_left(name: str) -> None:
    budgets = Budgets.model_validate({name: 60.0})
    assert find_reached(budgets, Spend(**{name: 59.9})) is None
    assert find_reached(budgets, Spend(**{name: 60.0})) == (name, 60.0, 60.0)
    assert find_reached(Budgets(), Spend(device_seconds=1e9, wall_time_s=1e9)) is None

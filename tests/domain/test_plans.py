"""The arithmetic of a plan, against counting one by one."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.budget import Spend
from discovery_service.domain.campaign import Budgets
from discovery_service.domain.plans import Slots, list_allowed


def make_slots(size: int, whole: int = 14, first: int = 7) -> Slots:
    """As the engine counts: every other one of a round is cheap."""

    def count(taken: int) -> tuple[int, ...]:
        return tuple(first if slot % 2 else whole for slot in range(taken))

    return Slots(count(size), tuple(sum(count(taken)) for taken in range(size)))


@given(st.integers(1, 9), st.integers(0, 60))
def test_so_many_proposals_take_what_their_rounds_do(size: int, proposals: int) -> None:
    slots = make_slots(size)
    one_by_one = sum(slots.trainings[each % size] for each in range(proposals))
    assert slots.count_trainings(proposals) == one_by_one


@given(st.integers(1, 9), st.integers(0, 900))
def test_within_a_budget_fits_what_fits_and_not_one_more(size: int, evaluations: int) -> None:
    slots = make_slots(size)
    fitting = slots.count_within(evaluations)
    assert slots.count_trainings(fitting) <= evaluations < slots.count_trainings(fitting + 1)


def test_every_budget_says_how_many_it_has_room_for() -> None:
    budgets = Budgets(candidates=50, evaluations=100, tokens=1000, cost_usd=0.3, device_seconds=60.0)
    beside = Spend(evaluations=58, device_seconds=10.0)
    each = Spend(tokens=90, cost_usd=Decimal("0.1"), device_seconds=4.0)
    allowed = list_allowed(budgets, make_slots(4), beside, each)
    assert allowed == {"candidates": 50, "evaluations": 4, "tokens": 11, "cost_usd": 3, "device_seconds": 12}


def test_what_costs_nothing_or_nobody_knows_bounds_nothing() -> None:
    budgets = Budgets(candidates=50, tokens=0, cost_usd=0.0, device_seconds=0.0, wall_time_s=1.0)
    assert list_allowed(budgets, make_slots(4), Spend(), Spend()) == {"candidates": 50}
    assert list_allowed(Budgets(evaluations=3), make_slots(4), Spend(evaluations=9), Spend())["evaluations"] == 0

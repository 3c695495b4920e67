"""The worse half of a round stops, whoever is told first."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.halving import find_stopping

BESTS = st.dictionaries(
    st.integers(0, 63),
    st.none() | st.integers(-2, 2).map(float) | st.floats(allow_nan=False, allow_infinity=False),
    max_size=12,
)


@given(BESTS, st.integers(1, 9))
def test_it_is_the_worse_half_rounded_down(bests: dict[int, float | None], round_index: int) -> None:
    stopping = find_stopping(bests, round_index=round_index)
    assert stopping <= bests.keys()
    assert len(stopping) == len(bests) // 2
    merit = {slot: (-math.inf if value is None else value, -slot) for slot, value in bests.items()}
    assert all(merit[out] < merit[on] for out in stopping for on in bests.keys() - stopping)


@given(BESTS, st.data())
def test_the_order_of_arrival_makes_no_difference(bests: dict[int, float | None], data: Any) -> None:
    shuffled = dict(data.draw(st.permutations(list(bests.items()))))
    assert find_stopping(shuffled, round_index=1) == find_stopping(bests, round_index=1)


@given(BESTS)
def test_the_library_is_never_halved(bests: dict[int, float | None]) -> None:
    assert find_stopping(bests, round_index=0) == frozenset()


def test_of_equals_the_later_slots_stop() -> None:
    assert find_stopping({3: 1.0, 0: 1.0, 2: None, 5: None, 1: 1.0}, round_index=2) == {2, 5}
    assert find_stopping({2: 1.0, 1: 1.0, 0: 1.0}, round_index=2) == {2}


def test_a_twin_of_a_known_loss_stops_before_one_that_can_become_a_finalist() -> None:
    bests = {0: 0.1, 1: 0.9, 2: None, 3: 0.8}
    assert find_stopping(bests, round_index=1) == {0, 2}
    assert find_stopping(bests, round_index=1, known=[1]) == {1, 2}
    assert find_stopping(bests, round_index=1, known=[1, 3]) == {1, 3}
    assert find_stopping(bests, round_index=1, known=[0, 1, 2, 3]) == {0, 2}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("round_index", [0, 1])
def test_what_is_no_finite_number_is_refused(value: float, round_index: int) -> None:
    with pytest.raises(ValueError, match="finite"):
        find_stopping({0: 1.0, 1: value}, round_index=round_index)

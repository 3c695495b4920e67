"""Two rankings agree as far as their pairs do, and how sure that is depends on how many losses were ranked."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from discovery_service.domain.agreement import find_agreement

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12)


@given(PAIRS)
def test_tau_is_scipys_ties_and_all(pairs: list[tuple[int, int]]) -> None:
    first, second = ([float(each) for each in side] for side in zip(*pairs, strict=True))
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    found = find_agreement(first, second)
    assert found.tau == pytest.approx(stats.kendalltau(first, second, variant="b").statistic, abs=1e-12)
    assert found.losses == len(pairs)
    if found.low is not None and found.high is not None:
        assert -1 <= found.low <= found.tau <= found.high <= 1


@given(PAIRS)
def test_only_the_order_counts_and_either_arena_may_come_first(pairs: list[tuple[int, int]]) -> None:
    first, second = ([float(each) for each in side] for side in zip(*pairs, strict=True))
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    found = find_agreement(first, second)
    assert find_agreement([each**3 for each in first], second) == found
    assert find_agreement(second, first) == found
    turned = find_agreement([-each for each in first], second)
    assert turned.tau == -found.tau
    if found.low is not None:
        assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_one_order_of_ten_is_no_proof_and_one_of_forty_a_better_one() -> None:
    ten, forty = (find_agreement([float(n) for n in range(m)], [float(n) for n in range(m)]) for m in (10, 40))
    assert ten.tau == forty.tau == ten.high == 1
    assert ten.low is not None
    assert forty.low is not None
    assert ten.low == pytest.approx(0.63, abs=0.005)
    assert forty.low == pytest.approx(0.95, abs=0.005)


def test_rankings_that_have_nothing_to_do_with_each_other_are_seldom_said_to_agree() -> None:
    chance, agreed = random.Random(5), 0
    for _ in range(1000):
        found = find_agreement([chance.random() for _ in range(10)], [chance.random() for _ in range(10)])
        assert found.low is not None
        agreed += found.low > 0
    assert agreed / 1000 < 0.03


# Tau of normal scores with a correlation r is 2/π·arcsin r: .41 and .71.
@pytest.mark.parametrize(("correlation", "tau"), [(0.6, 0.4097), (0.9, 0.7129)])
def test_it_covers_the_agreement_of_all_losses_like_these(correlation: float, tau: float) -> None:
    chance, covered = random.Random(6), 0
    for _ in range(1000):
        first = [chance.gauss(0, 1) for _ in range(12)]
        second = [correlation * x + (1 - correlation**2) ** 0.5 * chance.gauss(0, 1) for x in first]
        found = find_agreement(first, second)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= tau <= found.high
    assert covered / 1000 >= 0.94


def test_two_losses_have_an_order_and_no_interval() -> None:
    found = find_agreement([1.0, 2.0], [3.0, 5.0])
    assert (found.tau, found.low, found.high) == (1, None, None)


def test_an_order_that_hangs_on_one_loss_has_no_interval() -> None:
    found = find_agreement([1.0, 1.0, 1.0, 2.0], [1.0, 2.0, 3.0, 4.0])
    assert found.tau == pytest.approx(0.707, abs=1e-3)
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize(
    ("first", "second"),
    [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0]), ([1.0, float("nan")], [1.0, 2.0])],
)
def test_where_there_is_no_order_there_is_no_agreement(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no order|finite score"):
        find_agreement(first, second)

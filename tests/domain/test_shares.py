from hypothesis import given, settings
from hypothesis import strategies as st

from discovery_service.domain.shares import deal, find_turn

SHARES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8)


@given(SHARES, st.integers(1, 200))
@settings(max_examples=150)
def test_nobody_is_ever_a_whole_place_away_from_its_share(shares, count):
    dealt = deal(shares, count)
    bound = 1 - 1 / (2 * len(shares) - 2) if len(shares) > 1 else 0
    for so_far in range(count + 1):
        for who, share in enumerate(shares):
            assert abs(dealt[:so_far].count(who) - so_far * share / sum(shares)) <= bound + 1e-6


@given(SHARES, st.integers(0, 50), st.integers(0, 50))
def test_what_was_dealt_stays_when_more_is(shares, fewer, more):
    assert deal(shares, fewer + more)[:fewer] == deal(shares, fewer)


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 9))
def test_the_turns_of_a_round_are_its_own_and_each_once(seed, round_index, size):
    turns = [find_turn(seed, round_index, slot, round_size=size, what="test") for slot in range(size)]
    assert sorted(turns) == list(range((round_index - 1) * size, round_index * size))


def test_two_dealings_do_not_fall_into_step():
    def first_slot(what: str) -> list[int]:
        return [
            next(slot for slot in range(4) if find_turn(0, index, slot, round_size=4, what=what) % 4 == 0)
            for index in range(1, 40)
        ]

    assert len(set(zip(first_slot("one"), first_slot("other"), strict=True))) > 10

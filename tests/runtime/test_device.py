"""What a process may take of a card that others use too."""

import pytest

from workers.runtime.device import allot

TOTAL = 80 << 30


def test_a_card_that_nobody_shares_is_all_its_own() -> None:
    alone = allot(TOTAL, 1.0)
    assert alone.fraction == 1.0
    assert alone.warm_bytes <= TOTAL / 2


@pytest.mark.parametrize("slots", [2, 3, 8])
def test_those_that_share_a_card_fit_on_it_together_with_room_for_their_contexts(slots: int) -> None:
    each = allot(TOTAL, 1 / slots)
    assert 0.8 < each.fraction * slots < 0.95
    assert each.warm_bytes <= each.fraction * TOTAL / 2

"""How few rows a draw may leave to train on, over all draws."""

from itertools import permutations

import pytest
import torch

from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from workers.arenas.hf.division import check_every_draw, divide
from workers.arenas.hf.preferences import Preference
from workers.arenas.hf.tokenising import Pair


def pairs_of(sizes: list[int]) -> list[Pair]:
    """So many rows of each prompt."""
    answers = [torch.tensor([each], dtype=torch.int32) for each in (1, 2)]
    found = []
    for number, size in enumerate(sizes):
        prompt = torch.tensor([number], dtype=torch.int32)
        found += [Pair(Preference(1, "Q", "a", "b", -1), prompt, prompt, *answers)] * size
    return found


def leave_at_worst(sizes: list[int], held_out: float) -> int:
    """By trying every order in which prompts may fall."""
    rows = sum(sizes)
    wanted = max(1, round(held_out * rows))
    worst = rows
    for order in permutations(sizes):
        aside = 0
        for size in order:
            if aside >= wanted:
                break
            aside += size
        worst = min(worst, rows - aside)
    return worst


@pytest.mark.parametrize("held_out", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("sizes", [[1] * 7, [6, 1, 1, 1, 1], [5, 5, 5, 5], [2, 3, 4, 5, 6], [8, 3, 3, 2], [9]])
def test_an_arena_is_refused_where_any_draw_would_leave_less_than_a_batch(sizes: list[int], held_out: float) -> None:
    pairs, worst = pairs_of(sizes), leave_at_worst(sizes, held_out)
    check_every_draw(pairs, held_out=held_out, batch=worst)
    with pytest.raises(ValueError, match=f"A draw may leave {worst} rows .* than a batch of {worst + 1}"):
        check_every_draw(pairs, held_out=held_out, batch=worst + 1)


def test_a_draw_of_an_arena_that_was_accepted_is_never_refused() -> None:
    pairs = pairs_of([20, *[1] * 30])
    with pytest.raises(ValueError, match="A draw may leave 26 rows"):
        check_every_draw(pairs, held_out=0.1, batch=27)
    left = [
        len(divide(pairs, Draw(Purpose.TUNE, str(number)), held_out=0.1, prompts=5, batch=26).trained)
        for number in range(50)
    ]
    assert min(left) >= 26
    assert max(left) == 45

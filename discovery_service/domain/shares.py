"""Deals places out by share, so that however many were dealt, everybody has had as near to its share as can be.

A coin toss with the same shares would give one proposer all four slots of a round now and then.
"""

from collections.abc import Sequence

from discovery_service.domain.chance import draw_chance


def deal(shares: Sequence[float], count: int) -> list[int]:
    """Who gets each of the first so many places, by Tijdeman's rule for the chairman assignment problem (1980).

    Of n holders nobody is ever further from its share than 1 - 1 / (2n - 2), which no rule undercuts.
    """
    if len(shares) == 1:
        return [0] * count
    total, slack = sum(shares), 1 / (2 * len(shares) - 2)
    parts = [share / total for share in shares]
    dealt = [0] * len(parts)
    order: list[int] = []
    for place in range(1, count + 1):
        due = [who for who, part in enumerate(parts) if part * place - dealt[who] >= slack - 1e-9]
        # The first who would fall too far behind.
        chosen = min(due, key=lambda who: ((dealt[who] + 1 - slack) / parts[who], who))
        dealt[chosen] += 1
        order.append(chosen)
    return order


def find_turn(seed: int, round_index: int, slot: int, *, round_size: int, what: str) -> int:
    """Which place in the dealing a slot has. Slots of a round are mixed anew each time, so that no two dealings,
    such as that of proposers and that of kinds of request, fall into step. A slot beyond the round's size has the turn
    that it would have without."""
    first = (round_index - 1) * round_size
    if slot >= round_size:
        return first + slot
    mixed = list(range(round_size))
    draw_chance(seed, round_index, 0, what).shuffle(mixed)
    return first + mixed[slot]

"""What a campaign would take, told before it starts: its search played by figures that are counted elsewhere.

Evaluations are at most so many, as halving and reuse only spare some. Tokens are told twice: as the service reserves
them, and as they usually come. None stands for what nobody knows.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal

from discovery_service.domain.budget import Spend, count_slots, find_bounds
from discovery_service.domain.campaign import Budgets


@dataclass(frozen=True)
class PlannedEvaluations:
    library: int
    search: int
    confirmation: int
    held_out: int

    @property
    def total(self) -> int:
        return self.library + self.search + self.confirmation + self.held_out


@dataclass(frozen=True)
class PlannedCalls:
    """Of language models, for all proposals."""

    tokens: int
    cost_usd: Decimal | None
    """None where a model's price is not known."""


@dataclass(frozen=True)
class PlannedConfirmation:
    arena: str
    is_held_out: bool
    draws: int
    detect: float
    detectable: float | None
    """The smallest difference that so many draws find with 80 % power."""
    sd: float | None
    sd_source: str
    training_s: float | None
    """Of one, with measuring it, on one core of the machine on which the arena was calibrated."""


@dataclass(frozen=True)
class Planned:
    proposals: int
    rounds: int
    evaluations: PlannedEvaluations
    core_seconds: float | None
    typical: PlannedCalls
    worst: PlannedCalls
    confirmations: tuple[PlannedConfirmation, ...]
    """None where not even the library can be measured."""
    binds_first: str | None
    """The budget that ends the search; None where not even the library can be measured."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Slot:
    """Of a round: what it comes to if all goes as it usually does, and what is reserved for it."""

    usual: Spend
    worst: Spend


@dataclass(frozen=True)
class Played:
    proposals: int
    rounds: int
    evaluations: int
    """Of what is proposed."""
    binds: str
    """The budget that has no room for another proposal."""


def play(budgets: Budgets, beside: Spend, rounds: Sequence[Sequence[Slot]], *, max_open_rounds: int) -> Played:
    """The search as the engine opens its rounds: as many slots as fit at their worst, beside closed rounds at what
    they usually come to and open ones at their worst; where not one fits, it waits until more are closed.

    `rounds` come again and again. `beside` is what is no proposal's: the library, and what is kept for the end.
    """
    skipped = _count_skipped(budgets, beside, rounds, max_open_rounds)
    every = [slot for each in rounds for slot in each]
    closed = beside + _scale(_add(each.usual for each in every), skipped)
    proposals, number = skipped * len(every), skipped * len(rounds)
    evaluations = skipped * sum(each.usual.evaluations for each in every)
    underway: list[Sequence[Slot]] = []
    while True:
        slots = rounds[number % len(rounds)]
        fitting = 0
        while not fitting:
            if len(underway) < max_open_rounds:
                committed = closed + _add(slot.worst for each in underway for slot in each)
                fitting = count_slots(budgets, committed, [each.worst for each in slots])
            if not fitting and not underway:
                bound = next(find_bounds(budgets, closed + slots[0].worst))
                return Played(proposals, number, evaluations, bound.name)
            if not fitting:
                closed += _add(each.usual for each in underway.pop(0))
        taken = slots[:fitting]
        underway.append(taken)
        proposals, number = proposals + fitting, number + 1
        evaluations += sum(each.usual.evaluations for each in taken)


_PLAYED = 10
"""Times that all rounds are played one by one; of a longer search the beginning, where all fits, is passed over."""


def _count_skipped(budgets: Budgets, beside: Spend, rounds: Sequence[Sequence[Slot]], max_open_rounds: int) -> int:
    """How often all rounds are whole for certain, as even the worst of some more of them would fit."""
    usual = _add(slot.usual for each in rounds for slot in each)
    reserved = _add(slot.worst for each in rounds for slot in each)
    beside += _scale(reserved, 1 + max_open_rounds)

    def fits(times: int) -> bool:
        return not any(find_bounds(budgets, beside + _scale(usual, times)))

    most = 1
    while fits(most):
        most *= 2
    first_not = bisect_left(range(most), True, key=lambda times: not fits(times))
    return first_not - 1 if first_not > _PLAYED else 0


def _add(spends: Iterable[Spend]) -> Spend:
    return sum(spends, Spend())


def _scale(spend: Spend, times: int) -> Spend:
    return Spend(*(each * times for each in astuple(spend)))

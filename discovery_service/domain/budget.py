"""What a campaign may still begin: what it has spent, what is in flight at its worst, what is kept back for the end.

Nothing is begun that could exceed a budget. How long a training takes no one knows beforehand, nor how long a wait: of
budgets of time nothing is reserved, and once one is reached nothing more is begun.
"""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import NamedTuple

from discovery_service.domain.campaign import Budgets


@dataclass(frozen=True)
class Spend:
    """In the order of the budgets that limit it; a worst case, or what it came to."""

    candidates: int = 0
    evaluations: int = 0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    device_seconds: float = 0.0
    wall_time_s: float = 0.0

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class Bound(NamedTuple):
    """A budget that would be exceeded."""

    name: str
    limit: float
    wanted: float


def find_bounds(budgets: Budgets, wanted: Spend) -> Iterator[Bound]:
    """The budgets that this is more than; an absent one does not bind."""
    limits = {
        "candidates": budgets.candidates,
        "evaluations": budgets.evaluations,
        "tokens": budgets.tokens,
        "cost_usd": None if budgets.cost_usd is None else Decimal(str(budgets.cost_usd)),
        "device_seconds": budgets.device_seconds,
        "wall_time_s": budgets.wall_time_s,
    }
    for name, limit in limits.items():
        asked = getattr(wanted, name)
        if limit is not None and asked > limit:
            yield Bound(name, float(limit), float(asked))


def find_reached(budgets: Budgets, time: Spend) -> Bound | None:
    """The budget of time that this has come up to."""
    limits = {"device_seconds": budgets.device_seconds, "wall_time_s": budgets.wall_time_s}
    for name, limit in limits.items():
        if limit is not None and getattr(time, name) >= limit:
            return Bound(name, limit, getattr(time, name))
    return None


def expect_time(evaluations: int, *, measured: int, device_seconds: float, slots: int) -> Spend:
    """What so many evaluations will take if they are like those that were measured. Nothing is known before the first.

    Waits between them are not in it, nor that other campaigns want the slots too.
    """
    seconds = evaluations * device_seconds / measured if measured else 0.0
    return Spend(device_seconds=seconds, wall_time_s=seconds / max(slots, 1))


def tell_reached(bound: Bound) -> str:
    return f"{bound.name} is limited to {bound.limit:g}, and {bound.wanted:g} are spent"


def is_wider(before: Budgets, after: Budgets) -> bool:
    """Whether any limit is further away, or gone. Of target and patience, too, a higher one lets a search go on."""
    pairs = ((was, getattr(after, name)) for name, was in before)
    return any(was is not None and (now is None or now > was) for was, now in pairs)


def count_slots(budgets: Budgets, committed: Spend, slots: Sequence[Spend]) -> int:
    """How many of the next slots, in their order, fit beside what is committed; the first that does not ends it.

    So what fits does not depend on which of the later ones is cheap.
    """
    for fitting, slot in enumerate(slots):
        committed += slot
        if any(find_bounds(budgets, committed)):
            return fitting
    return len(slots)

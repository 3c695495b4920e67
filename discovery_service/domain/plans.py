"""What a campaign would take, told before it starts: figures only, added up elsewhere.

Evaluations are at most so many, as halving and reuse only spare some. Tokens are told twice: as the service reserves
them, and as they usually come. None stands for what nobody knows.
"""

from dataclasses import dataclass
from decimal import Decimal

from discovery_service.domain.budget import Spend
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
    binds_first: str | None
    """The budget that ends the search; None where not even the library can be measured."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Slots:
    """What a round of the search takes, slot by slot: the search is whole rounds, and a part of one."""

    trainings: tuple[int, ...]
    begun: tuple[int, ...]
    """Trainings of a last round of so many slots, from 0 on."""

    def count_trainings(self, proposals: int) -> int:
        rounds, rest = divmod(proposals, len(self.trainings))
        return rounds * sum(self.trainings) + self.begun[rest]

    def count_within(self, evaluations: int) -> int:
        """Proposals."""
        rounds, left = divmod(evaluations, sum(self.trainings))
        rest = 0
        while rest < len(self.trainings) and sum(self.trainings[: rest + 1]) <= left:
            rest += 1
        return rounds * len(self.trainings) + rest


def list_allowed(budgets: Budgets, slots: Slots, beside: Spend, each: Spend) -> dict[str, int]:
    """How many proposals every single budget has room for: `beside` what is no proposal's, at `each`'s usual cost.

    Without a wall time, which depends on how many slots train.
    """
    allowed = {"candidates": budgets.candidates}
    if budgets.evaluations is not None:
        allowed["evaluations"] = slots.count_within(max(budgets.evaluations - beside.evaluations, 0))
    if budgets.tokens is not None and each.tokens:
        allowed["tokens"] = budgets.tokens // each.tokens
    if budgets.cost_usd is not None and each.cost_usd:
        allowed["cost_usd"] = int(Decimal(str(budgets.cost_usd)) / each.cost_usd)
    if budgets.device_seconds is not None and each.device_seconds:
        left = max(budgets.device_seconds - beside.device_seconds, 0.0)
        allowed["device_seconds"] = int(left / each.device_seconds)
    return allowed

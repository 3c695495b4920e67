"""Who is compared with what, and where: all that a comparison is determined by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery_service.domain.arenas import hash_document
from discovery_service.domain.freezing import check_spread
from discovery_service.domain.power import find_fewest_draws
from discovery_service.domain.tuning_plans import TuningPlan, find_plan
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.errors import UsageError
from workers.gate.submitted import Judged
from workers.trainings import Loss


@dataclass(frozen=True)
class Contender:
    name: str
    judged: Judged
    loss: Loss


@dataclass(frozen=True)
class Place:
    arena: Mapping[str, Any]
    """Its document."""
    base_policies: tuple[int, ...]
    draws: int
    """On which each loss is confirmed."""
    seed: int

    @property
    def arena_sha256(self) -> str:
        return hash_document(self.arena)

    @property
    def counts(self) -> str:
        return counted_metric(self.arena)

    @property
    def plan(self) -> TuningPlan:
        return find_plan(self.arena)


@dataclass(frozen=True)
class Contest:
    place: Place
    reference: Contender
    finalists: tuple[Contender, ...]

    @property
    def contenders(self) -> tuple[Contender, ...]:
        return self.reference, *self.finalists

    @property
    def names(self) -> dict[Loss, str]:
        """Of each loss; one that goes by several names is trained once, under the first."""
        return {each.loss: each.name for each in reversed(self.contenders)}

    def find_same(self, contender: Contender) -> str | None:
        """Whom it equals that is named before it: their graphs are one."""
        same = (each.name for each in self.contenders if each.loss == contender.loss)
        first = next(same)
        return None if first == contender.name else first


def find_place(arena: Mapping[str, Any], base_policies: Sequence[int], draws: int | None, seed: int) -> Place:
    """Unless told how many, as few draws as a campaign has at least, spread evenly over the base policies."""
    count = find_fewest_draws(len(base_policies)) if draws is None else draws
    try:
        check_spread(base_policies, count)
    except ValueError as error:
        raise UsageError(f"--confirm {error}") from error
    return Place(arena, tuple(base_policies), count, seed)


def name_losses(sources: Sequence[str], against: str) -> dict[str, str]:
    """Of each source, the reference first, the name it is told by: without folders where that is enough.

    UsageError for one that is named twice, and where there is nothing beside the reference.
    """
    for each in sources:
        if sources.count(each) > 1:
            raise UsageError(f"{each} is named {sources.count(each)} times: name each loss once.")
    every = list(dict.fromkeys((against, *sources)))
    if len(every) < 2:
        raise UsageError(f"There is nothing to compare with {against}: name another loss, or another one --against.")
    short = ["standard input" if each == "-" else Path(each).name for each in every]
    return {each: name if short.count(name) == 1 else each for each, name in zip(every, short, strict=True)}

"""What a candidate has to be trained for in an arena, and how far it has come: tuned by the plan, then screened.

A function of what was measured; neither the order nor what is under way makes a difference to where it ends.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from discovery_service.domain.differences import Occasion
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.domain.tuning import Progress, Training, follow_plan, take_settings
from discovery_service.domain.tuning_plans import TuningPlan

SEARCH_POLICY = 0
"""The base policy under which losses are tuned and screened; only a confirmation sees the others."""


class Wanted(NamedTuple):
    """One training of a candidate in an arena."""

    setting: Setting
    base_policy: int
    draw: Draw

    @property
    def occasion(self) -> Occasion:
        return Occasion(self.base_policy, self.draw.key)


@dataclass(frozen=True)
class Course:
    """How far a candidate has come before the freeze."""

    tuning: Progress
    screen: tuple[Wanted, ...]
    """Its screen; empty before it is tuned, where every training failed, and in an arena without a screen."""
    needed: tuple[Wanted, ...]
    """Not measured yet, and known to be needed."""

    @property
    def is_complete(self) -> bool:
        return self.tuning.is_complete and not self.needed


def follow_course(
    plan: TuningPlan,
    measured: Mapping[Wanted, float | None],
    *,
    uses_beta: bool,
    goes_on: bool,
    screen_draws: int,
    shipped: Sequence[Setting] = (),
    salt: str = "",
) -> Course:
    """Of a loss of which this was measured, None where a training failed. `goes_on` is its round's halving's word.

    With `shipped` settings it is not tuned: the first is screened.
    """
    tune = [Draw(Purpose.TUNE, str(number), salt) for number in range(plan.draws)]
    numbers = {draw: number for number, draw in enumerate(tune)}
    tuned = {
        Training(each.setting, numbers[each.draw]): value
        for each, value in measured.items()
        if each.draw in numbers and each.base_policy == SEARCH_POLICY
    }
    progress = take_settings(shipped) if shipped else follow_plan(plan, tuned, uses_beta=uses_beta, goes_on=goes_on)
    needed = [Wanted(setting, SEARCH_POLICY, tune[draw]) for setting, draw in progress.missing]
    screen = () if progress.chosen is None else list_screen(progress.chosen, screen_draws, salt)
    needed += [each for each in screen if each not in measured]
    return Course(progress, screen, tuple(needed))


def list_screen(setting: Setting, draws: int, salt: str = "") -> tuple[Wanted, ...]:
    return tuple(Wanted(setting, SEARCH_POLICY, Draw(Purpose.SCREEN, str(number), salt)) for number in range(draws))


def list_missing(needed: Collection[Wanted], under_way: Collection[Wanted]) -> list[Wanted]:
    """What is needed and neither waits nor runs, nor was abandoned: that, only a person has tried again."""
    return [each for each in needed if each not in under_way]

"""Tunes any number of losses at once by one plan: each goes on as its own stages end, and no slot waits for others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

from discovery_service.domain import tuning
from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from discovery_service.domain.tuning import Progress, follow_plan
from discovery_service.domain.tuning_plans import TuningPlan
from workers.supervisor.outcome import Measured, Outcome
from workers.trainings import Loss, Training, Trainings, refuse_crashed

BASE_POLICY = 0
"""Under which settings are searched."""
_INPUT = "beta"


@dataclass(frozen=True)
class Tuned:
    progress: Progress
    """Complete."""
    outcomes: Mapping[Training, Outcome]


@dataclass
class _Course:
    """One loss on its way through the plan."""

    loss: Loss
    name: str
    plan: TuningPlan
    values: dict[tuning.Training, float | None] = field(default_factory=dict)

    @property
    def progress(self) -> Progress:
        uses_beta = _INPUT in self.loss.graph.inputs
        return follow_plan(self.plan, self.values, uses_beta=uses_beta, goes_on=True)

    def list_missing(self) -> list[Training]:
        return [
            Training(self.loss, BASE_POLICY, setting, Draw(Purpose.TUNE, str(draw)), f"{self.name}, tuning")
            for setting, draw in self.progress.missing
        ]

    def note(self, training: Training, value: float | None) -> None:
        self.values[tuning.Training(training.setting, int(training.draw.key))] = value


def tune(trainings: Trainings, names: Mapping[Loss, str], plan: TuningPlan, counts: str) -> dict[Loss, Tuned]:
    """By the metric that counts in the arena. Raises TrainingsBroke."""
    courses = {loss: _Course(loss, name, plan) for loss, name in names.items()}

    def go_on(training: Training, outcome: Outcome) -> list[Training]:
        course = courses[training.loss]
        course.note(training, find_value(outcome, counts))
        return course.list_missing()

    first = chain.from_iterable(course.list_missing() for course in courses.values())
    outcomes = trainings.run(first, go_on)
    refuse_crashed(outcomes)
    return {
        loss: Tuned(course.progress, {each: outcome for each, outcome in outcomes.items() if each.loss == loss})
        for loss, course in courses.items()
    }


def find_value(outcome: Outcome, counts: str) -> float | None:
    """Of the metric that counts; None of a training that failed."""
    return outcome.metrics[counts] if isinstance(outcome, Measured) else None

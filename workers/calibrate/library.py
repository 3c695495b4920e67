"""The library at its best in an arena: each loss tuned by the plan, then measured on fresh draws that all share."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from discovery_service.domain.arenas import hash_document
from discovery_service.domain.calibration import Tuned, describe_library, describe_steps
from discovery_service.domain.differences import Occasion
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.power import find_fewest_draws
from discovery_service.domain.published import find_figures
from discovery_service.domain.states import Purpose
from discovery_service.domain.tuning_plans import TuningPlan, find_plan
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.losses.described import list_described
from discovery_service.losses.graph import read_graph
from workers.compare.tuning import find_value, tune
from workers.supervisor.outcome import Outcome
from workers.trainings import Loss, Training, Trainings, refuse_crashed

Document = Mapping[str, Any]
Outcomes = Mapping[Training, Outcome]


def list_draws(base_policies: Sequence[int]) -> list[tuple[int, Draw]]:
    """Which no campaign has, spread evenly over the base policies."""
    return [
        (base_policies[number % len(base_policies)], Draw(Purpose.CALIBRATE, str(number)))
        for number in range(find_fewest_draws(len(base_policies)))
    ]


def count_trainings(document: Document, names: Sequence[str], base_policies: Sequence[int]) -> int:
    plan, draws = find_plan(document), find_fewest_draws(len(base_policies))
    return len(names) * (plan.trainings + draws) + (plan.finalists - 1 + len(_list_steps(plan))) * draws


def measure_library(
    document: Document, names: Sequence[str], base_policies: Sequence[int], trainings: Trainings
) -> dict[str, Any]:
    """The document that is published. Raises TrainingsBroke, and Incomparable."""
    plan, counts, draws = find_plan(document), counted_metric(document), list_draws(base_policies)
    described = list_described(Family(document["family"]))
    losses = {name: Loss.of(read_graph(described[name].graph)) for name in names}
    told = {loss: name for name, loss in losses.items()}
    settings = {loss: each.progress.settings for loss, each in tune(trainings, told, plan, counts).items()}
    compared_with = REFERENCE_LOSSES[document["family"]]
    reference = losses[compared_with]
    # The reference at each of its settings, as a campaign meets it.
    measured_at = {loss: each if loss == reference else each[:1] for loss, each in settings.items()}
    wanted = {
        (loss, setting): _list_trainings(loss, setting, draws, told[loss])
        for loss, each in measured_at.items()
        for setting in each
    }
    with_steps = dict(_vary_steps(compared_with, reference, settings[reference], plan, draws))
    outcomes = trainings.run([each for some in (*wanted.values(), *with_steps.values()) for each in some])
    refuse_crashed(outcomes)
    values = {key: _find_values(each, outcomes, counts) for key, each in wanted.items()}
    library = {
        name: Tuned(settings[loss], {setting: values[loss, setting] for setting in measured_at[loss]})
        for name, loss in losses.items()
    }
    steps = {steps: _find_values(each, outcomes, counts) for steps, each in with_steps.items()}
    return {
        **describe_library(library),
        "steps": describe_steps(library[compared_with], steps, _find_noise(document, base_policies)),
    }


def _list_trainings(loss: Loss, setting: Setting, draws: Sequence[tuple[int, Draw]], label: str) -> list[Training]:
    return [Training(loss, policy, setting, draw, label) for policy, draw in draws]


def _list_steps(plan: TuningPlan) -> tuple[int, ...]:
    return tuple(each for each in (plan.start.steps // 2, plan.start.steps * 2) if each)


def _vary_steps(
    name: str, reference: Loss, tuned: Sequence[Setting], plan: TuningPlan, draws: Sequence[tuple[int, Draw]]
) -> Iterator[tuple[int, list[Training]]]:
    """Half and twice as many as the plan's, at the setting that serves the reference best."""
    for chosen in tuned[:1]:  # none where it could not be tuned
        for steps in _list_steps(plan):
            setting = Setting(chosen.beta, chosen.learning_rate, steps)
            yield steps, _list_trainings(reference, setting, draws, f"{name}, {steps} steps")


def _find_values(wanted: Sequence[Training], outcomes: Outcomes, counts: str) -> dict[Occasion, float | None]:
    return {Occasion(each.base_policy, each.draw.key): find_value(outcomes[each], counts) for each in wanted}


def _find_noise(document: Document, base_policies: Sequence[int]) -> float | None:
    """The A/A noise that is published of the arena: a few pairs under each base policy, which tell it only together.

    None where nobody has measured it.
    """
    found = [find_figures(hash_document(document), each) for each in base_policies]
    known = [(each.repeat_pairs, each.repeat_sd) for each in found if each is not None and each.repeat_sd is not None]
    pairs = sum(each for each, _ in known)
    return math.sqrt(sum(each * sd**2 for each, sd in known) / pairs) if pairs else None

"""From a loss's name or file to what was measured of it, as one document."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from discovery_service.domain.arenas import hash_document
from discovery_service.domain.described_arenas import find_start
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.domain.user_arenas import counted_metric
from workers.evaluate.answer import describe_outcome, summarise, trace_frontier
from workers.gate.submitted import find_submissions, judge
from workers.trainings import Loss, Training, open_slots, open_trainings


def make_settings(
    document: Mapping[str, Any], betas: Sequence[float], rates: Sequence[float], steps: Sequence[int]
) -> list[Setting]:
    """Each combination; what is not given is the arena's own."""
    start = find_start(document)
    every = product(betas or [start.beta], rates or [start.learning_rate], steps or [start.steps])
    return [Setting(*each) for each in dict.fromkeys(every)]


def evaluate(
    source: str,
    document: Mapping[str, Any],
    base_policy: int,
    settings: Sequence[Setting],
    draws: int,
    *,
    values: Mapping[str, float],
) -> dict[str, Any]:
    """`status` is measured, failed (one of the trainings at least), or what the gate says instead.

    `values` are of hyper-parameters that the source leaves open.
    """
    (submission,) = find_submissions([source], Family(document["family"]), values)
    (judged,) = judge([submission])
    found = {
        "arena": document["name"],
        "arena_sha256": hash_document(document),
        "base_policy": base_policy,
        "counts": counted_metric(document),
        "loss": submission.name or judged.answer["name"],
        "gate": judged.summary(),
    }
    if judged.passed is None:
        return {"status": judged.answer["status"], **found, "measurements": [], "summary": [], "frontier": []}
    wanted = _list_trainings(Loss.of(judged.passed.graph), base_policy, settings, draws)
    with open_slots() as slots, open_trainings(document, slots, len(wanted)) as trainings:
        outcomes = trainings.run(wanted)
    measurements = [
        {"draw": number, **describe_outcome(document, training, outcomes[training])}
        for training, number in wanted.items()
    ]
    status, summary = "failed" if any(each["failure"] for each in measurements) else "measured", summarise(measurements)
    told = {"measurements": measurements, "summary": summary, "frontier": trace_frontier(summary)}
    return {"status": status, **found, **told}


def _list_trainings(loss: Loss, base_policy: int, settings: Sequence[Setting], draws: int) -> dict[Training, int]:
    """With the number of the draw, which is for no purpose of a campaign: what is found out gives none of its away."""
    return {
        Training(loss, base_policy, setting, Draw(Purpose.CALIBRATE, f"evaluate {number}"), f"draw {number}"): number
        for setting, number in product(settings, range(draws))
    }

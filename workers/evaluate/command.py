"""From a loss's name or file to what was measured of it, as one document."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from discovery_service.domain.arenas import hash_document
from discovery_service.domain.described_arenas import find_start
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.measuring import Setting
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.errors import UsageError
from discovery_service.losses.canonical import canonicalise
from discovery_service.losses.known import list_known
from discovery_service.settings import MachineSettings, get_settings
from workers.evaluate.answer import describe_outcome, summarise, trace_frontier
from workers.evaluate.trainings import Loss, Training, Trainings
from workers.gate.answer import answer_of, unavailable
from workers.gate.archives import library_archive
from workers.gate.command import read_source
from workers.gate.process import make_jail
from workers.gate.road import Passed, Submission, pass_gate
from workers.progress import progress_bar
from workers.slots import COMMAND, make_slots
from workers.supervisor.jail import JailUnavailable
from workers.supervisor.outcome import Outcome

_OF_THE_GATE = ("status", "code", "message", "line", "refusals", "graph_sha256", "formula", "isolation")
"""What of a verdict is repeated; `discovery gate` tells it whole."""


def make_settings(
    document: Mapping[str, Any], betas: Sequence[float], rates: Sequence[float], steps: Sequence[int]
) -> list[Setting]:
    """Each combination; what is not given is the arena's own."""
    start = find_start(document)
    every = product(betas or [start.beta], rates or [start.learning_rate], steps or [start.steps])
    return [Setting(*each) for each in dict.fromkeys(every)]


def find_submission(source: str, family: Family) -> Submission:
    """A known loss by its name, else what is in the file. UsageError when there is neither."""
    if source in KNOWN_LOSSES[family]:
        text = next(known.text for known in list_known(family) if known.name == source)
        return Submission(text, family, name=source)
    if source.isidentifier() and not Path(source).exists():
        known = ", ".join(KNOWN_LOSSES[family])
        raise UsageError(f"{source} is neither a file nor a known loss of the family {family}: those are {known}.")
    return Submission(read_source(source), family)


def judge(submission: Submission) -> tuple[dict[str, Any], Passed | None]:
    """What the gate says of it, and, of an accepted one, what there is to train."""
    with make_jail() as jail:
        try:
            verdict = pass_gate(jail, submission, library_archive(submission.family))
        except JailUnavailable as error:
            return unavailable(jail.isolation, str(error)).document(), None
    return answer_of(verdict).document(), verdict.passed if verdict.is_accepted else None


def evaluate(
    source: str, document: Mapping[str, Any], base_policy: int, trainings: Sequence[Training]
) -> dict[str, Any]:
    """`status` is measured, failed (one of the trainings at least), or what the gate says instead."""
    submission = find_submission(source, Family(document["family"]))
    judged, passed = judge(submission)
    found = {
        "arena": document["name"],
        "arena_sha256": hash_document(document),
        "base_policy": base_policy,
        "counts": counted_metric(document),
        "loss": submission.name or judged["name"],
        "gate": {name: judged[name] for name in _OF_THE_GATE},
    }
    if passed is None:
        return {"status": judged["status"], **found, "measurements": [], "summary": [], "frontier": []}
    outcomes = _train(passed, document, base_policy, trainings)
    measurements = [describe_outcome(document, base_policy, *each) for each in outcomes.items()]
    status, summary = "failed" if any(each["failure"] for each in measurements) else "measured", summarise(measurements)
    told = {"measurements": measurements, "summary": summary, "frontier": trace_frontier(summary)}
    return {"status": status, **found, **told}


def _train(
    passed: Passed, document: Mapping[str, Any], base_policy: int, trainings: Sequence[Training]
) -> dict[Training, Outcome]:
    loss = Loss(canonicalise(passed.graph), document, base_policy)
    slots = make_slots(get_settings(), MachineSettings(), COMMAND)
    try:
        with progress_bar(len(trainings)) as tell:
            return Trainings(loss, slots, tell).run(trainings)
    finally:
        slots.close()

"""What became of trainings, for machines and for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.domain.published import add_attained
from workers.evaluate.trainings import Training
from workers.supervisor.outcome import Cancelled, Crashed, Failed, Measured, Outcome

Document = dict[str, Any]

SHOWN = ("J", "score", "reward", "accuracy", "kl", "attained", "win_rate")
"""In this order behind the one that counts, where an arena has them."""


def describe_outcome(arena: Mapping[str, Any], base_policy: int, training: Training, outcome: Outcome) -> Document:
    described: Document = {"draw": training.number, "setting": training.setting.document()}
    match outcome:
        case Measured():
            metrics = add_attained(outcome.metrics, arena, base_policy)
            return described | {"metrics": metrics, "failure": None, "device_s": outcome.device_s}
        case Failed():
            failure = {"code": outcome.code, "message": outcome.message, "step": outcome.step}
            return described | {"metrics": None, "failure": failure, "device_s": outcome.device_s}
        case Crashed():
            failure = {"code": "crashed", "message": outcome.reason, "step": None}
        case Cancelled():
            failure = {"code": "cancelled", "message": "another one crashed", "step": None}
    return described | {"metrics": None, "failure": failure, "device_s": None}


def summarise(measurements: Sequence[Document]) -> list[Document]:
    """Of each setting, over those of its draws that could be measured."""
    found = []
    for setting in _unique(each["setting"] for each in measurements):
        measured = [each["metrics"] for each in measurements if each["setting"] == setting and each["metrics"]]
        metrics = {name: asdict(interval) for name, interval in _find_intervals(measured).items()}
        found.append({"setting": setting, "draws": len(measured), "metrics": metrics})
    return found


def _find_intervals(measured: Sequence[Mapping[str, float | None]]) -> dict[str, Interval]:
    found = {}
    for name in measured[0] if measured else ():
        values = [each[name] for each in measured]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            found[name] = find_interval(known)
    return found


def tell_failures(measurements: Sequence[Document]) -> Iterator[str]:
    for each in measurements:
        failure = each["failure"]
        if failure is not None and failure["code"] != "cancelled":
            step = "" if failure["step"] is None else f" at step {failure['step']}"
            yield f"draw {each['draw']} {failure['code']}{step}: {failure['message']}"


def tabulate(answer: Document) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: a setting each, with its means and their intervals."""
    known = {name for each in answer["summary"] for name in each["metrics"]}
    names = [name for name in _unique((answer["counts"], *SHOWN)) if name in known]
    rows = [
        [f"{each['setting'][part]:g}" for part in ("beta", "learning_rate", "steps")]
        + [str(each["draws"])]
        + [_tell(each["metrics"].get(name)) for name in names]
        for each in answer["summary"]
    ]
    return ["beta", "learning rate", "steps", "draws", *names], rows


def _tell(interval: Document | None) -> str:
    if interval is None:
        return ""
    if interval["low"] is None:
        return f"{interval['mean']:.3f}"
    return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def _unique(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found

"""What became of trainings, for machines and for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from discovery_service.domain.frontier import find_frontier
from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.domain.metrics import OWN
from discovery_service.domain.published import add_attained
from workers.supervisor.outcome import Cancelled, Crashed, Failed, Measured, Outcome
from workers.trainings import Training

Document = dict[str, Any]

SHOWN = ("J", "score", "reward", "accuracy", "kl", "attained", "win_rate", *OWN)
"""In this order behind the one that counts, where an arena has them."""


def describe_outcome(arena: Mapping[str, Any], training: Training, outcome: Outcome) -> Document:
    described: Document = {"setting": training.setting.document()}
    match outcome:
        case Measured():
            metrics = add_attained(outcome.metrics, arena, training.base_policy)
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
    """Of each setting, over those of its draws that could be measured.

    Where some failed there is no interval: they were the hard ones, and the others say nothing of the next.
    """
    found = []
    for setting in _unique(each["setting"] for each in measurements):
        of_setting = [each for each in measurements if each["setting"] == setting]
        measured = [each["metrics"] for each in of_setting if each["metrics"]]
        failed = len(of_setting) - len(measured)
        intervals = find_intervals(measured)
        if failed:
            intervals = {name: replace(each, low=None, high=None) for name, each in intervals.items()}
        metrics = {name: asdict(interval) for name, interval in intervals.items()}
        found.append({"setting": setting, "draws": len(measured), "failed": failed, "metrics": metrics})
    return found


def trace_frontier(summary: Sequence[Document]) -> list[Document]:
    """The settings at which the loss earns most for its KL, from near to far; a score is earned too."""
    whole = [each for each in summary if each["draws"] and not each["failed"]]
    points = {
        number: (each["metrics"]["kl"]["mean"], each["metrics"][earned]["mean"])
        for number, each in enumerate(whole)
        for earned in ("reward", "score")
        if {"kl", earned} <= each["metrics"].keys()
    }
    return [whole[number]["setting"] for number in find_frontier(points)]


def find_intervals(
    measured: Sequence[Mapping[str, float | None]],
    interval_of: Callable[[Sequence[float]], Interval] = find_interval,
) -> dict[str, Interval]:
    """Of each metric that all of them have."""
    found = {}
    for name in measured[0] if measured else ():
        values = [each[name] for each in measured]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            found[name] = interval_of(known)
    return found


def tell_failures(measurements: Sequence[Document]) -> Iterator[str]:
    for each in measurements:
        failure = each["failure"]
        if failure is not None and failure["code"] != "cancelled":
            yield f"draw {each['draw']} {tell_failure(failure)}"


def tell_failure(failure: Document) -> str:
    step = "" if failure["step"] is None else f" at step {failure['step']}"
    return f"{failure['code']}{step}: {failure['message']}"


def tabulate(answer: Document) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: a setting each, with its means and their intervals."""
    known = {name for each in answer["summary"] for name in each["metrics"]}
    names = [name for name in _unique((answer["counts"], *SHOWN)) if name in known]
    rows = [
        [f"{each['setting'][part]:g}" for part in ("beta", "learning_rate", "steps")]
        + [f"{each['draws']}, {each['failed']} failed" if each["failed"] else str(each["draws"])]
        + [tell_interval(each["metrics"].get(name)) for name in names]
        for each in answer["summary"]
    ]
    return ["beta", "learning rate", "steps", "draws", *names], rows


def name_settings(settings: Sequence[Document]) -> str:
    """By what differs between them."""
    names = [name for name in ("beta", "learning_rate", "steps") if len(_unique(each[name] for each in settings)) > 1]
    return "; ".join(
        ", ".join(f"{name.replace('_', ' ')} {each[name]:g}" for name in names or ["beta"]) for each in settings
    )


def tell_interval(interval: Document | None) -> str:
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

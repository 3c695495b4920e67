"""How a training went, read off its series: means along the way, and when the margin came to rest.

Covered: any series that a training writes down, thinned or not. Of one training, so that no number has an interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from discovery_service.domain.figures import show

STEP = "step"
"""The series that says of which step each point is, where series were thinned."""
PARTS = 10
SHOWN = (0, 2, 4, 6, 8, 9)
"""Of the tenths: the last two tell what still grew at the end."""
REST = 0.9
"""Of its final value: from there on the margin counts as at rest."""

_ORDER = ("margin", "chosen_log_ratio", "rejected_log_ratio", "kl_estimate", "accuracy", "loss", "gradient_norm")


@dataclass(frozen=True)
class Course:
    """One series, as its means over the tenths that are shown."""

    name: str
    means: tuple[float | None, ...]
    """None where no value of the tenth was finite."""


def list_courses(series: Mapping[str, Any]) -> list[Course]:
    """In the order in which they are read; nothing of a training with fewer than ten points."""
    return [
        Course(name, tuple(_mean(tenth) for tenth in _select(_divide(series[name]))))
        for name in sorted(_names(series), key=_rank)
        if len(series[name]) >= PARTS
    ]


def count_steps(series: Mapping[str, Any]) -> int:
    return max((_steps(series, len(series[name]))[-1] for name in _names(series) if series[name]), default=0)


def tell_training(series: Mapping[str, Any]) -> list[str]:
    """What the means along the way do not show, a fact a sentence; nothing where a series for it is missing."""
    lengths = {len(series[name]) for name in _names(series)}
    if len(lengths) != 1 or min(lengths) < PARTS:
        return []
    steps = _steps(series, lengths.pop())
    told = []
    if "margin" in series:
        told.append(_tell_margin(series["margin"], steps))
    if "kl_estimate" in series:
        told.append(_tell_kl(series["kl_estimate"]))
    if "gradient_norm" in series:
        told.append(_tell_gradient(series["gradient_norm"], steps))
    return told


def _names(series: Mapping[str, Any]) -> list[str]:
    return [name for name in series if name != STEP]


def _rank(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _steps(series: Mapping[str, Any], points: int) -> list[int]:
    """Counted from 1, as a person counts them."""
    return [int(step) + 1 for step in series[STEP]] if STEP in series else list(range(1, points + 1))


def _divide(values: Sequence[float | None]) -> list[Sequence[float | None]]:
    bounds = [len(values) * part // PARTS for part in range(PARTS + 1)]
    return [values[start:end] for start, end in pairwise(bounds)]


def _select(tenths: Sequence[Sequence[float | None]]) -> list[Sequence[float | None]]:
    return [tenths[part] for part in SHOWN]


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [each for each in values if each is not None and math.isfinite(each)]
    return fmean(finite) if finite else None


def _tell_margin(values: Sequence[float | None], steps: Sequence[int]) -> str:
    """By means over a tenth of the training that ends at a step: single batches are noisy."""
    width = max(1, len(values) // PARTS)
    final = _mean(values[-width:])
    if final is None:
        return "The margin was not finite at the end."
    if final <= 0:
        return f"The margin ended at {show(final)} nats: it was not widened."
    means = (_mean(values[end - width : end]) for end in range(width, len(values) + 1))
    ends = steps[width - 1 :]
    rested = next(end for mean, end in zip(means, ends, strict=True) if mean is not None and mean >= REST * final)
    return f"The margin reached {REST * 100:.0f} % of its final {show(final)} nats by step {rested} of {steps[-1]}."


def _tell_kl(values: Sequence[float | None]) -> str:
    *_, before, last = map(_mean, _divide(values))
    if before is None or last is None:
        return "The KL estimate was not finite at the end."
    change = show(last - before, is_signed=True)
    return f"The KL estimate changed by {change} nats from the last tenth but one to the last."


def _tell_gradient(values: Sequence[float | None], steps: Sequence[int]) -> str:
    pairs = zip(values, steps, strict=True)
    finite = [(each, -step) for each, step in pairs if each is not None and math.isfinite(each)]
    if not finite:
        return "The gradient was finite at no step."
    norm, step = max(finite)
    return f"The gradient's norm before clipping was at most {show(norm)}, at step {-step}."

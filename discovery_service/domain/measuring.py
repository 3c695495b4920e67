"""What one training is determined by: a setting, a draw, and with the rest of the key a measurement."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from discovery_service.domain.states import Purpose

TRAINER = 1
"""Raised when the trainer or the way of measuring gives other numbers for the same key."""


@dataclass(frozen=True)
class Setting:
    """What tuning chooses for a loss. Its own hyper-parameters stay at their defaults."""

    beta: float
    learning_rate: float
    steps: int

    def __post_init__(self) -> None:
        # 1 and 1.0 are one number and one training; in a key they would be two.
        for name in ("beta", "learning_rate"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def document(self) -> dict[str, Any]:
        return asdict(self)


class Stream(StrEnum):
    """What chance decides in a training; each has a generator of its own."""

    PROMPTS = "prompts"
    FIRST_ANSWERS = "first answers"
    SECOND_ANSWERS = "second answers"
    LABELS = "labels"
    ORDER = "order"
    HELD_OUT_PROMPTS = "held-out prompts"
    HELD_OUT_FIRST_ANSWERS = "held-out first answers"
    HELD_OUT_SECOND_ANSWERS = "held-out second answers"
    HELD_OUT_LABELS = "held-out labels"
    EVALUATION_PROMPTS = "evaluation prompts"
    EVALUATION_SAMPLING = "evaluation sampling"
    ADAPTER = "adapter"
    """Where a LoRA adapter begins."""


_SALTED = frozenset(
    {Stream.PROMPTS, Stream.FIRST_ANSWERS, Stream.SECOND_ANSWERS, Stream.LABELS, Stream.ORDER},
)
_REPEATED = frozenset({Stream.ORDER, Stream.EVALUATION_SAMPLING})


@dataclass(frozen=True)
class Draw:
    """One key from which everything that chance decides is drawn anew; the same for all losses that are compared."""

    purpose: Purpose
    key: str
    salt: str = ""
    """Placebo campaigns give each candidate its own pairs, labels and order."""
    repeat: int = 0
    """Another order and other sampling on the same pairs, to see how much of a difference is just that."""

    def seed(self, stream: Stream) -> int:
        """For a generator, less than 2**63: another one for every purpose, key and stream.

        Torch's generator heeds the lowest 32 bits, so that of 10,000 streams two are the same with a chance of 1 %.
        """
        parts = [self.purpose.value, self.key, stream.value]
        if stream in _SALTED and self.salt:
            parts.append(f"salt {self.salt}")
        if stream in _REPEATED and self.repeat:
            parts.append(f"repeat {self.repeat}")
        digest = hashlib.sha256(json.dumps(parts).encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"purpose": self.purpose.value}


@dataclass(frozen=True)
class Failure:
    """Why a training has no measurement, by the candidate's doing."""

    code: str
    message: str
    step: int | None = None
    series: dict[str, list[float | None]] = field(default_factory=dict)
    """As far as it came."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Build:
    """What computes: the same build on the same device repeats every number bit for bit."""

    torch: str
    transformers: str
    device: str
    """cpu or cuda."""
    model: str
    """Of the processor, behind that of the card where there is one."""
    trainer: int = TRAINER
    peft: str | None = None
    """Only where it trains: it makes LoRA adapters, and the numbers of no other training."""

    def document(self) -> dict[str, Any]:
        """Without what has no say, so that it is in no key."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def measurement_key(
    *,
    graph_sha256: str,
    arena_sha256: str,
    base_policy: int,
    setting: Setting,
    draw: Draw,
    build: Build,
) -> dict[str, Any]:
    """Equal keys mean equal bits, so that the same training is never paid for twice."""
    return {
        "graph": graph_sha256,
        "arena": arena_sha256,
        "base_policy": base_policy,
        "setting": setting.document(),
        "draw": draw.document(),
        "build": build.document(),
    }


def hash_key(key: Mapping[str, Any]) -> str:
    text = json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

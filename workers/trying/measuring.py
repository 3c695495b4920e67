"""What a trained policy says of preferences that it was not trained on, and how it replies to their prompts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.worlds import Precision
from workers.arenas.hf.both import tell_both
from workers.arenas.hf.division import group_by_prompt
from workers.arenas.hf.examination import autocast
from workers.arenas.hf.pair_rows import list_both
from workers.arenas.hf.replies import find_divergences, make_uniforms, sample
from workers.arenas.hf.tokenising import Pair

MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class Said:
    """One value a prompt; of rows with the same prompt the mean."""

    accuracy: list[float]
    margin: list[float]
    """By how many nats more the preferred answer has gained on the base policy than the other one."""


class Examiner:
    """The rows of one part, with what the base policy says of them."""

    def __init__(self, base: Any, pairs: Sequence[Pair], precision: Precision) -> None:
        self._base, self._pairs, self._precision = base, pairs, precision
        self._groups = group_by_prompt(pairs)
        self._reference = self._compare(base)

    @property
    def prompts(self) -> int:
        return len(self._groups)

    def examine(self, policy: Any) -> Said | None:
        """None where it says what is no number."""
        gains = self._compare(policy) - self._reference
        if not bool(gains.isfinite().all()):
            return None
        margin = gains[:, 0] - gains[:, 1]
        return Said(self._by_prompt((margin > 0).double() + 0.5 * (margin == 0).double()), self._by_prompt(margin))

    def _compare(self, model: Any) -> Tensor:
        with autocast(model.device, self._precision):
            return tell_both(model, list_both(self._pairs)).double()

    def _by_prompt(self, values: Tensor) -> list[float]:
        return [float(values[rows].double().mean()) for rows in self._groups]


@dataclass(frozen=True)
class Replies:
    """One value a prompt."""

    kl: list[float]
    """The exact divergence from the base policy at each token of a reply, summed."""
    length: list[float]
    """In tokens."""


class Speaker:
    """The prompts to which policies reply from the same random numbers."""

    def __init__(self, base: Any, pairs: Sequence[Pair], ends: Sequence[int], precision: Precision) -> None:
        self._base, self._ends, self._precision = base, ends, precision
        self._prompts = [pair.asked for pair in pairs]

    def reply(self, policy: Any, seed: int) -> Replies:
        uniforms = make_uniforms(len(self._prompts), MAX_NEW_TOKENS, seed)
        with torch.no_grad(), autocast(policy.device, self._precision):
            replies = sample(policy, self._prompts, uniforms, self._ends)
            kl = find_divergences(policy, self._speak_as_reference, self._prompts, replies)
        return Replies(kl.double().tolist(), [float(len(reply)) for reply in replies])

    @contextmanager
    def _speak_as_reference(self) -> Iterator[Any]:
        yield self._base

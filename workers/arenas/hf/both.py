"""Rows of two answers, whatever they are: what a model says of both, and batches of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.arenas.arena import Batch, Policy
from workers.arenas.hf.completions import Padded, find_log_probabilities, pad, tell_answers
from workers.arenas.model_policy import ModelPolicy
from workers.arenas.passes import Passes


@dataclass(frozen=True)
class Said:
    prompt: Tensor
    answer: Tensor


Both = tuple[Said, Said]


def tell_both(model: Any, rows: Sequence[Both]) -> Tensor:
    """(rows, 2): the log-probability of either answer, on the CPU."""
    every = [each for both in rows for each in both]
    return tell_answers(model, [each.prompt for each in every], [each.answer for each in every]).view(-1, 2)


class BothPolicy(ModelPolicy):
    def __init__(self, model: Any, names: tuple[str, str]) -> None:
        """By which the family has what the policy says of the first and of the second answer."""
        super().__init__(model)
        self._names = names

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        """In one forward pass: all first answers, then all second ones."""
        said = find_log_probabilities(self.model, Padded(batch.rows["tokens"], batch.rows["is_completion"]))
        return dict(zip(self._names, said.chunk(2), strict=True))


class BothBatches:
    def __init__(
        self,
        rows: Sequence[Both],
        columns: Mapping[str, Tensor],
        trained: Sequence[int],
        size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """`columns` are of all rows, of which `trained` are taken."""
        self._rows, self._columns, self._trained, self._device = rows, columns, trained, device
        self._passes = Passes(len(trained), size, torch.Generator().manual_seed(seed))

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - nothing is sampled from the policy that trains
        rows = [self._trained[place] for place in self._passes.take().tolist()]
        every = [self._rows[row][side] for side in (0, 1) for row in rows]
        padded = pad([each.prompt for each in every], [each.answer for each in every], self._device)
        inputs = {name: each[rows].to(self._device) for name, each in self._columns.items()}
        return Batch(inputs=inputs, rows={"tokens": padded.tokens, "is_completion": padded.is_completion})

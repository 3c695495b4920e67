"""Preferences as a base policy reads them: what a training takes of them, and how it is examined."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from workers.arenas.hf.both import Both, BothBatches, BothPolicy, Said, tell_both
from workers.arenas.hf.division import Division
from workers.arenas.hf.folders import AdapterTraining, FullTraining
from workers.arenas.hf.tokenising import Pair
from workers.arenas.hf.values import find_values
from workers.arenas.measures import tell_wins


@dataclass(frozen=True)
class PairRows:
    items: Sequence[Pair]
    reference: Tensor
    """(rows, 2): what it says of the chosen and of the rejected answer."""
    read: Tensor | None
    """What it has read at each prompt's end, where rows have auxiliary scores."""

    def follow(self, model: Any) -> BothPolicy:
        return BothPolicy(model, ("policy_chosen_logps", "policy_rejected_logps"))

    def make_batches(
        self, training: FullTraining | AdapterTraining, trained: Sequence[int], size: int, seed: int
    ) -> BothBatches:
        columns = {
            "reference_chosen_logps": self.reference[:, 0],
            "reference_rejected_logps": self.reference[:, 1],
            "chosen_lengths": torch.tensor([float(len(pair.chosen)) for pair in self.items]),
            "rejected_lengths": torch.tensor([float(len(pair.rejected)) for pair in self.items]),
            "annotator": torch.tensor([pair.row.annotator for pair in self.items]),
        }
        if self.read is not None:
            scores = torch.tensor([pair.row.scores for pair in self.items])
            columns |= {
                "chosen_aux": scores[:, 0],
                "rejected_aux": scores[:, 1],
                "prompt_value": find_values(self.items, self.read, scores, trained),
            }
        return BothBatches(self._both, columns, trained, size, seed, training.model.device)

    def examine(self, policy: Any, division: Division, seed: int) -> dict[str, float | None]:  # noqa: ARG002
        """A preference of the policy is a higher gain in log-probability over the reference."""
        gains = tell_both(policy, [self._both[row] for row in division.held_out]) - self.reference[division.held_out]
        return {"accuracy": tell_wins(gains[:, 0] - gains[:, 1])}

    @cached_property
    def _both(self) -> list[Both]:
        return list_both(self.items)


def list_both(pairs: Sequence[Pair]) -> list[Both]:
    """The chosen answer of each, and the rejected one."""
    return [(Said(pair.prompt, pair.chosen), Said(pair.prompt, pair.rejected)) for pair in pairs]

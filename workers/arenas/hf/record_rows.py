"""Rows of one answer with what came of it, as a base policy reads them, and its own answers to the same prompts.

The outcome model is linear in a few numbers that the base policy has of an answer: its last hidden state, on average
over the answer's tokens, seen from a few random directions. It is fitted to the rows that a draw trains on, and
predicts each of them by what it has learnt from others, of other prompts where there are some.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from workers.arenas.hf.both import Both, BothBatches, BothPolicy, Said
from workers.arenas.hf.completions import tell_answers
from workers.arenas.hf.division import Division
from workers.arenas.hf.folders import AdapterTraining, FullTraining
from workers.arenas.hf.folds import fold_rows, standardise
from workers.arenas.hf.reading import read_answers
from workers.arenas.hf.tokenising import Recorded

_PULL = 10.0
"""The ridge of the outcome model, on numbers of variance 1."""


@dataclass(frozen=True)
class RecordRows:
    items: Sequence[Recorded]
    replies: Sequence[Tensor]
    """The base policy's own answer to each row's prompt."""
    reference: Tensor
    """(rows, 2): what it says of the recorded answer and of its own."""
    read: Tensor
    """(rows, 2, numbers): what it has read of either."""

    def follow(self, model: Any) -> BothPolicy:
        return BothPolicy(model, ("policy_logps", "sampled_policy_logps"))

    def make_batches(
        self, training: FullTraining | AdapterTraining, trained: Sequence[int], size: int, seed: int
    ) -> BothBatches:
        predicted = predict_outcomes(self, trained)
        columns = {
            "behavior_logps": torch.tensor([each.row.behavior_logp for each in self.items]),
            "outcomes": torch.tensor([each.row.outcome for each in self.items]),
            "reference_logps": self.reference[:, 0],
            "sampled_reference_logps": self.reference[:, 1],
            "predicted_outcomes": predicted[:, 0],
            "sampled_predicted_outcomes": predicted[:, 1],
        }
        return BothBatches(self._both, columns, trained, size, seed, training.model.device)

    def examine(self, policy: Any, division: Division, seed: int) -> dict[str, float | None]:  # noqa: ARG002
        """`value`: the outcome to be expected of the policy, each held-out row's weighted by how much likelier the
        policy gives its answer than whoever gave it, in shares of all; `weighted_rows`: how many rows' worth that is,
        as a share of them."""
        some = [self.items[row] for row in division.held_out]
        told = tell_answers(policy, [each.prompt for each in some], [each.answer for each in some]).double()
        given = torch.tensor([each.row.behavior_logp for each in some], dtype=torch.float64)
        outcomes = torch.tensor([each.row.outcome for each in some], dtype=torch.float64)
        weights = (told - given).softmax(0)
        return {
            "value": float(weights @ outcomes),
            "weighted_rows": float(1 / weights.square().sum() / len(weights)),
        }

    @cached_property
    def _both(self) -> list[Both]:
        return list_both(self.items, self.replies)


def list_both(items: Sequence[Recorded], replies: Sequence[Tensor]) -> list[Both]:
    """The recorded answer of each, and the base policy's own."""
    return [
        (Said(each.prompt, each.answer), Said(each.asked, reply)) for each, reply in zip(items, replies, strict=True)
    ]


def read_both(model: Any, rows: Sequence[Both]) -> Tensor:
    """(rows, 2, numbers)."""
    sides = (zip(*((each.prompt, each.answer) for each in side), strict=True) for side in zip(*rows, strict=True))
    return torch.stack([read_answers(model, list(prompts), list(answers)) for prompts, answers in sides], 1)


def pad_replies(replies: Sequence[Tensor]) -> Tensor:
    """(rows, longest): -1 behind each."""
    return torch.nn.utils.rnn.pad_sequence(
        [each.to(torch.int32) for each in replies], batch_first=True, padding_value=-1
    )


def predict_outcomes(rows: RecordRows, trained: Sequence[int]) -> Tensor:
    """(rows, 2): of the recorded answer and of the policy's own, for rows that are trained on; 0 for the others."""
    outcomes = torch.tensor([each.row.outcome for each in rows.items], dtype=torch.float64)
    predicted = torch.zeros(len(rows.items), 2)
    for fold, others in fold_rows(rows.items, trained):
        predicted[fold] = _predict(rows.read[fold], rows.read[others, 0], outcomes[others])
    return predicted


def _predict(wanted: Tensor, known: Tensor, outcomes: Tensor) -> Tensor:
    """Ridge regression around the mean, on numbers that the known ones make standard."""
    asked, inputs = standardise(wanted.double(), known.double())
    mean = outcomes.mean()
    prior = _PULL * torch.eye(inputs.shape[1], dtype=torch.float64)
    head = torch.linalg.solve(inputs.T @ inputs + prior, inputs.T @ (outcomes - mean))
    return (asked @ head + mean).float()

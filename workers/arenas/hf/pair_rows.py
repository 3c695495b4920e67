"""Rows of two answers as a base policy reads them: what a training takes of them, and how it is examined."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.arenas.arena import Batch, Policy
from workers.arenas.hf.completions import Padded, find_log_probabilities, pad, tell_answers
from workers.arenas.hf.folders import AdapterTraining, FullTraining
from workers.arenas.hf.passes import FilePasses
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

    def follow(self, model: Any) -> "PairPolicy":
        return PairPolicy(model)

    def make_batches(
        self, training: FullTraining | AdapterTraining, trained: Sequence[int], size: int, seed: int
    ) -> "PairBatches":
        return PairBatches(self, training.model.device, trained, size, seed)

    def examine(self, policy: Any, held_out: Sequence[int], seed: int) -> dict[str, float | None]:  # noqa: ARG002
        """A preference of the policy is a higher gain in log-probability over the reference."""
        gains = compare_answers(policy, [self.items[row] for row in held_out]) - self.reference[list(held_out)]
        return {"accuracy": tell_wins(gains[:, 0] - gains[:, 1])}


def compare_answers(model: Any, pairs: Sequence[Pair]) -> Tensor:
    """(rows, 2): log-probability of the chosen and of the rejected answer, on the CPU."""
    prompts = [pair.prompt for pair in pairs for _ in range(2)]
    answers = [answer for pair in pairs for answer in (pair.chosen, pair.rejected)]
    return tell_answers(model, prompts, answers).view(-1, 2)


class PairPolicy:
    def __init__(self, model: Any) -> None:
        self.model = model

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        return (each for each in self.model.parameters() if each.requires_grad)

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        """Both answers in one forward pass: first all that are chosen, then all that are rejected."""
        said = find_log_probabilities(self.model, Padded(batch.rows["tokens"], batch.rows["is_completion"]))
        chosen, rejected = said.chunk(2)
        return {"policy_chosen_logps": chosen, "policy_rejected_logps": rejected}


class PairBatches:
    def __init__(self, rows: PairRows, device: torch.device, trained: Sequence[int], size: int, seed: int) -> None:
        self._pairs, self._device = rows.items, device
        self._passes = FilePasses(trained, size, seed)
        self._columns = {
            "reference_chosen_logps": rows.reference[:, 0],
            "reference_rejected_logps": rows.reference[:, 1],
            "annotator": torch.tensor([pair.row.annotator for pair in rows.items]),
        }
        if rows.read is not None:
            scores = torch.tensor([pair.row.scores for pair in rows.items])
            self._columns |= {
                "chosen_aux": scores[:, 0],
                "rejected_aux": scores[:, 1],
                "prompt_value": find_values(rows.read, scores, trained),
            }

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - pairs are not sampled from the policy that trains
        rows = self._passes.take()
        pairs = [self._pairs[row] for row in rows]
        answers = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        padded = pad([pair.prompt for pair in (*pairs, *pairs)], answers, self._device)
        lengths = padded.is_completion.sum(1).float()
        inputs = {
            **{name: each[rows].to(self._device) for name, each in self._columns.items()},
            "chosen_lengths": lengths[: len(pairs)],
            "rejected_lengths": lengths[len(pairs) :],
        }
        return Batch(inputs=inputs, rows={"tokens": padded.tokens, "is_completion": padded.is_completion})

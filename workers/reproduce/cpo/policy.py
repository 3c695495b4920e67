"""Policies over texts, and the batches of recorded outcomes that they are trained on."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor

from workers.arenas.arena import Batch, Policy
from workers.reproduce.cpo.world import Rows, World
from workers.reproduce.speech import LanguageModel

BATCH = 64


class TextPolicy:
    def __init__(self, start: LanguageModel) -> None:
        self.model = copy.deepcopy(start)

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        return self.model.parameters()

    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        told: Tensor = self.model()[0].sum(1)
        return {name: told.index_select(0, texts) for name, texts in batch.rows.items()}


class RecordedRows:
    """Batches of so many rows and so many texts that the start has said; weights are normalised within each."""

    def __init__(
        self,
        world: World,
        rows: Rows,
        sampled: Tensor,
        propensity: Tensor,
        predicted: tuple[Tensor, Tensor],
        generator: torch.Generator,
    ) -> None:
        """Predicted: of each row, and of each text."""
        self._rows, self._sampled, self._generator = rows, sampled, generator
        start = world.start_chances.log()
        of_rows, self._of_texts = predicted[0].float(), predicted[1].float()
        self._start = start.float()
        self._of_rows = {
            "behavior_logps": propensity.log()[rows.texts].float(),
            "reference_logps": self._start[rows.texts],
            "outcomes": rows.outcomes.float(),
            "predicted_outcomes": of_rows,
        }

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - nothing is sampled from it
        rows = torch.randperm(len(self._rows.texts), generator=self._generator)[:BATCH]
        sampled = self._sampled[torch.randint(len(self._sampled), (BATCH,), generator=self._generator)]
        inputs = {
            **{name: each[rows] for name, each in self._of_rows.items()},
            "sampled_reference_logps": self._start[sampled],
            "sampled_predicted_outcomes": self._of_texts[sampled],
        }
        return Batch(inputs, {"policy_logps": self._rows.texts[rows], "sampled_policy_logps": sampled})

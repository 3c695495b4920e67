"""A training on recorded outcomes: its policy, its batches, and what the policy has become."""

from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.worlds import OutcomeRecipe, OutcomeWorld
from workers.arenas.arena import Batch, Policy
from workers.arenas.cache import Tensors
from workers.arenas.causal import completion_log_probabilities
from workers.arenas.language import copy_to_train
from workers.arenas.measures import answer, find_mean, measure_answers, pose
from workers.arenas.model_policy import ModelPolicy
from workers.arenas.outcomes import predict
from workers.arenas.passes import Passes
from workers.arenas.texts import is_answer


class OutcomeTask:
    def __init__(self, world: OutcomeWorld, recipe: OutcomeRecipe, reference: Any, draw: Draw, made: Tensors) -> None:  # noqa: ARG002
        self._reference, self._draw, self._made = reference, draw, made
        self.policy = AnswerPolicy(copy_to_train(reference))
        self.batches = OutcomeBatches(made, recipe.batch, draw.seed(Stream.ORDER))

    def measure(self) -> dict[str, float | None]:
        """`bias` is how much better the outcome model finds the policy's own answers than they are."""
        made, model = self._made, self.policy.model
        answers = answer(model, self._reference, *pose(made, self._draw))
        error = predict(made["outcome_model"], answers.texts) - answers.rewards
        return {**measure_answers(answers, made["reference_rewards"]), "bias": find_mean(error)}


class AnswerPolicy(ModelPolicy):
    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        """Recorded and sampled answers in one forward pass."""
        texts = batch.rows["texts"].flatten(0, 1)
        recorded, sampled = completion_log_probabilities(self.model, texts, None, is_answer(texts)).view(2, -1).unbind()
        return {"policy_logps": recorded, "sampled_policy_logps": sampled}


class OutcomeBatches:
    """Each row with the answer that was sampled to its prompt."""

    def __init__(self, made: Tensors, size: int, seed: int) -> None:
        self._texts = torch.stack((made["recorded"], made["sampled"])).long()
        self._columns = {
            "behavior_logps": made["behavior"],
            "reference_logps": made["reference"],
            "outcomes": made["outcomes"],
            "predicted_outcomes": made["predicted"],
            "sampled_reference_logps": made["sampled_reference"],
            "sampled_predicted_outcomes": made["sampled_predicted"],
        }
        self._passes = Passes(len(made["outcomes"]), size, torch.Generator().manual_seed(seed), made["outcomes"].device)

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - nothing is sampled from the policy that trains
        rows = self._passes.take()
        return Batch({name: each[rows] for name, each in self._columns.items()}, {"texts": self._texts[:, rows]})

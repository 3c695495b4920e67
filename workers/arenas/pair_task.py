"""A training on pairs: its policy, its batches, and what the policy has become."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.measuring import Draw, Stream
from discovery_service.domain.worlds import PairRecipe, Rule, World
from workers.arenas.arena import Batch, Policy
from workers.arenas.between import answer_at_divergence
from workers.arenas.cache import Tensors
from workers.arenas.causal import completion_log_probabilities
from workers.arenas.language import copy_to_train
from workers.arenas.measures import (
    Answers,
    answer,
    find_mean,
    measure_answers,
    measure_pairs,
    measure_proxy,
    pose,
    tell_wins,
)
from workers.arenas.model_policy import ModelPolicy
from workers.arenas.passes import Passes
from workers.arenas.scores import find_violations
from workers.arenas.texts import is_answer

MATCHED_PROMPTS = 512
"""So many are enough to compare at one divergence, which takes three more samplings."""


class PairTask:
    """A copy of the reference to be trained, on a draw's pairs, measured on its prompts."""

    def __init__(self, world: World, recipe: PairRecipe, reference: Any, draw: Draw, made: Tensors) -> None:
        self._world, self._reference, self._draw, self._made = world, reference, draw, made
        self.policy = PairPolicy(copy_to_train(reference))
        self.batches = PairBatches(made, recipe.batch, draw.seed(Stream.ORDER), is_crowd=world.taste_spread is not None)

    def measure(self) -> dict[str, float | None]:
        made, model, world = self._made, self.policy.model, self._world
        prompts, uniforms = pose(made, self._draw)
        answers = answer(model, self._reference, prompts, uniforms)
        found: dict[str, float | None] = {**measure_answers(answers, made["reference_rewards"])}
        found |= measure_pairs(
            model, made, do_annotators_differ=world.sloppy > 0, is_crowd=world.taste_spread is not None
        )
        if "proxy" in made:
            found["proxy_reward"] = measure_proxy(answers.texts, made["proxy"])
        if world.rule is not None:
            found |= self._measure_rule(world.rule, answers, prompts, uniforms)
        return found

    def _measure_rule(
        self, rule: Rule, answers: Answers, prompts: Tensor, uniforms: Tensor
    ) -> Mapping[str, float | None]:
        """How often answers break it, which costs J; and that beside the win rate at a divergence of one nat."""
        violations = find_mean(find_violations(rule, answers.texts))
        few = slice(MATCHED_PROMPTS)
        kl = find_mean(answers.kl)
        matched = answer_at_divergence(self.policy.model, self._reference, prompts[few], uniforms[few], kl)
        ahead = None if matched is None else matched.rewards - self._made["reference_rewards"][few]
        return {
            "J": answers.objective - self._world.violation_cost * violations,
            "violations": violations,
            "matched_violations": None if matched is None else find_mean(find_violations(rule, matched.texts)),
            "matched_win_rate": None if ahead is None else tell_wins(ahead),
        }


class PairPolicy(ModelPolicy):
    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        """Both answers in one forward pass."""
        texts = batch.rows["texts"].flatten(0, 1)
        chosen, rejected = completion_log_probabilities(self.model, texts, None, is_answer(texts)).view(-1, 2).unbind(1)
        return {"policy_chosen_logps": chosen, "policy_rejected_logps": rejected}


class PairBatches:
    def __init__(self, made: Tensors, size: int, seed: int, *, is_crowd: bool) -> None:
        """Of a crowd nobody knows who labelled."""
        self._texts = made["texts"].long()
        lengths = is_answer(self._texts).sum(-1).float()
        columns = {
            "reference_chosen_logps": made["reference"][:, 0],
            "reference_rejected_logps": made["reference"][:, 1],
            "chosen_lengths": lengths[:, 0],
            "rejected_lengths": lengths[:, 1],
        }
        if "scores" in made:
            columns |= {
                "chosen_aux": made["scores"][:, 0],
                "rejected_aux": made["scores"][:, 1],
                "prompt_value": made["values"],
            }
        self._names, self._columns = tuple(columns), torch.stack(tuple(columns.values())).contiguous()
        self._annotator = made["annotator"].long() if not is_crowd else torch.full_like(self._texts[:, 0, 0], -1)
        self._passes = Passes(len(self._texts), size, torch.Generator().manual_seed(seed), self._texts.device)

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - pairs are not sampled from the policy that trains
        rows = self._passes.take()
        inputs = dict(zip(self._names, self._columns.index_select(1, rows).unbind(), strict=True))
        return Batch({**inputs, "annotator": self._annotator[rows]}, {"texts": self._texts[rows]})

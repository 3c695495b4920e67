"""Rows of a prompt, to which the policy that trains gives a group of answers, each with the scorer's reward."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.worlds import Precision
from workers.arenas.arena import Batch, Policy
from workers.arenas.hf.completions import Padded, pad, tell_answers, tell_tokens
from workers.arenas.hf.division import Division, group_by_prompt
from workers.arenas.hf.examination import autocast
from workers.arenas.hf.folders import AdapterTraining, FullTraining
from workers.arenas.hf.replies import make_uniforms
from workers.arenas.hf.scorers import ScorerFailed
from workers.arenas.hf.speaking import Speaking
from workers.arenas.hf.tokenising import Posed
from workers.arenas.model_policy import ModelPolicy
from workers.arenas.passes import Passes

BOUND = 5.0
"""Known losses of the family take a reward beyond it, either way, for this much."""
_MOST_BEYOND = 0.5


def check_scale(scores: Tensor) -> None:
    """Of a base policy's answers. Raises ScorerFailed where known losses would not tell most of them apart, so that any
    loss that does would be taken for a discovery."""
    beyond = float((scores.abs() >= BOUND).double().mean())
    if beyond > _MOST_BEYOND:
        raise ScorerFailed(
            f"The scorer gives {beyond:.0%} of the base policy's answers {BOUND:g} or more either way,"
            f" {float(scores.mean()):.4g} on average. Known losses of the family take such rewards for one and the"
            " same: scale it, so that it is around 0."
        )


@dataclass(frozen=True)
class QuestionRows:
    items: Sequence[Posed]
    speaking: Speaking
    precision: Precision
    group: int
    """Answers to a prompt."""

    def follow(self, model: Any) -> "SpokenPolicy":
        return SpokenPolicy(model)

    def make_batches(
        self, training: FullTraining | AdapterTraining, trained: Sequence[int], size: int, seed: int
    ) -> "GroupBatches":
        return GroupBatches(self, training, trained, size, seed)

    def examine(self, policy: Any, division: Division, seed: int) -> dict[str, float | None]:
        """The PM divergence: the mean square, over two answers to each prompt that is sampled from, of what their
        scores and their log-probabilities differ by more than each other."""
        items = [self.items[row] for row in division.prompted for _ in range(2)]
        asked = [each.asked for each in items]
        uniforms = make_uniforms(len(items), self.speaking.max_new_tokens, seed)
        replies = self.speaking.reply(policy, asked, uniforms)
        scores = self.speaking.score([each.row.prompt for each in items], replies)
        gaps = (scores - tell_answers(policy, asked, replies).double()).view(-1, 2).diff(dim=1)
        return {"pm_divergence": float(gaps.square().mean())}

    @cached_property
    def prompt_numbers(self) -> list[int]:
        """Of each row; the same where the prompt is."""
        numbers = {row: number for number, rows in enumerate(group_by_prompt(self.items)) for row in rows}
        return [numbers[row] for row in range(len(self.items))]


class SpokenPolicy(ModelPolicy):
    def log_probabilities(self, batch: Batch) -> dict[str, Tensor]:
        said = tell_tokens(self.model, Padded(batch.rows["tokens"], batch.rows["is_completion"]))
        return {"policy_token_logps": said}


class GroupBatches:
    """A group of answers to each of a few prompts, of the policy as it is."""

    def __init__(
        self,
        rows: QuestionRows,
        training: FullTraining | AdapterTraining,
        trained: Sequence[int],
        size: int,
        seed: int,
    ) -> None:
        self._rows, self._training = rows, training
        self._trained = trained
        self._passes = Passes(len(trained), size // rows.group, torch.Generator().manual_seed(seed))
        self._seed, self._step = seed, 0

    def take(self, policy: Policy) -> Batch:  # noqa: ARG002 - it is the one of the beginning
        self._step += 1
        model, rows, speaking = self._training.model, self._rows, self._rows.speaking
        chosen = [self._trained[place] for place in self._passes.take().tolist() for _ in range(rows.group)]
        asked = [rows.items[row].asked for row in chosen]
        uniforms = make_uniforms(len(chosen), speaking.max_new_tokens, self._seed + self._step)
        with torch.no_grad(), autocast(model.device, rows.precision):
            replies = speaking.reply(model, asked, uniforms)
            padded = pad(asked, replies, model.device)
            with self._training.speak_as_reference() as reference:
                said = tell_tokens(reference, padded)
        rewards = speaking.score([rows.items[row].row.prompt for row in chosen], replies)
        lengths = torch.tensor([len(reply) for reply in replies], device=model.device)
        inputs = {
            "reference_token_logps": said,
            "mask": (torch.arange(said.shape[1], device=model.device) < lengths[:, None]).float(),
            "rewards": rewards.float().to(model.device),
            "group": torch.tensor([rows.prompt_numbers[row] for row in chosen], device=model.device),
        }
        return Batch(inputs=inputs, rows={"tokens": padded.tokens, "is_completion": padded.is_completion})

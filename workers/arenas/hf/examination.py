"""What a policy of an `hf` arena has become, on what a draw holds out: answers of rows, replies, their scores."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from discovery_service.domain.worlds import Precision
from workers.arenas.hf.division import Division
from workers.arenas.hf.replies import Speak, find_divergences, find_diversity, make_uniforms
from workers.arenas.hf.speaking import Speaking
from workers.arenas.hf.tokenising import Asked
from workers.arenas.measures import find_mean, tell_wins


class Rows(Protocol):
    @property
    def items(self) -> Sequence[Asked]: ...

    def examine(self, policy: Any, division: Division, seed: int) -> dict[str, float | None]:
        """What the policy makes of the rows that are held out."""


@dataclass(frozen=True)
class Examination:
    rows: Rows
    division: Division
    speaking: Speaking
    kl_weight: float
    precision: Precision
    seed: int
    """Of the numbers by which replies are sampled, the same for every policy."""

    @cached_property
    def prompted(self) -> list[Asked]:
        return [self.rows.items[row] for row in self.division.prompted]

    def measure(
        self, policy: Any, speak_as_reference: Speak, reference_scores: Tensor | None
    ) -> dict[str, float | None]:
        with torch.no_grad(), autocast(policy.device, self.precision):
            replies = self.reply(policy)
            prompts = [each.asked for each in self.prompted]
            kl = find_mean(find_divergences(policy, speak_as_reference, prompts, replies))
            found = self.rows.examine(policy, self.division, self.seed)
        found |= {
            "kl": kl,
            "diversity": find_diversity(replies),
            "length": find_mean(torch.tensor([len(reply) for reply in replies])),
            "score": None,
            "J": None,
            "win_rate": None,
        }
        if reference_scores is not None:
            scores = self.score(replies)
            found["score"] = find_mean(scores)
            found["J"] = find_mean(scores) - self.kl_weight * kl
            found["win_rate"] = tell_wins(scores - reference_scores)
        return found

    def reply(self, model: Any) -> list[Tensor]:
        uniforms = make_uniforms(len(self.prompted), self.speaking.max_new_tokens, self.seed)
        return self.speaking.reply(model, [each.asked for each in self.prompted], uniforms)

    def score(self, replies: Sequence[Tensor]) -> Tensor:
        """Raises ScorerFailed."""
        return self.speaking.score([each.row.prompt for each in self.prompted], replies)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.BFLOAT16)

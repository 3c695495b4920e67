"""What a policy of an `hf` arena has become, on the rows that a draw holds out: preferences, replies, their scores."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.worlds import Precision
from workers.arenas.hf.completions import find_log_probabilities, pad, split_rows
from workers.arenas.hf.replies import Speak, find_divergences, find_diversity, make_uniforms, sample
from workers.arenas.hf.scorers import Scorer
from workers.arenas.hf.tokenising import Pair


@dataclass(frozen=True)
class Examination:
    held_out: Sequence[Pair]
    reference: Tensor
    """(held-out rows, 2): what the reference says of their answers."""
    prompted: Sequence[Pair]
    tokenizer: Any
    ends: Sequence[int]
    max_new_tokens: int
    kl_weight: float
    scorer: Scorer | None
    precision: Precision
    seed: int
    """Of the numbers by which replies are sampled, the same for every policy."""

    def measure(
        self, policy: Any, speak_as_reference: Speak, reference_scores: Tensor | None
    ) -> dict[str, float | None]:
        with torch.no_grad(), autocast(policy.device, self.precision):
            replies = self.reply(policy)
            prompts = [pair.asked for pair in self.prompted]
            kl = _mean(find_divergences(policy, speak_as_reference, prompts, replies))
            accuracy = self._find_accuracy(policy)
        found: dict[str, float | None] = {
            "accuracy": accuracy,
            "kl": kl,
            "diversity": find_diversity(replies),
            "length": _mean(torch.tensor([len(reply) for reply in replies])),
            "score": None,
            "J": None,
            "win_rate": None,
        }
        if reference_scores is not None:
            scores = self.score(replies)
            found["score"] = _mean(scores)
            found["J"] = _mean(scores) - self.kl_weight * kl
            found["win_rate"] = _mean(_count_half_ties(scores - reference_scores))
        return found

    def reply(self, model: Any) -> list[Tensor]:
        uniforms = make_uniforms(len(self.prompted), self.max_new_tokens, self.seed)
        return sample(model, [pair.asked for pair in self.prompted], uniforms, self.ends)

    def score(self, replies: Sequence[Tensor]) -> Tensor:
        """Raises ScorerFailed."""
        assert self.scorer is not None
        texts = [self.tokenizer.decode(reply, skip_special_tokens=True) for reply in replies]
        scores = [self.scorer(pair.row.prompt, text) for pair, text in zip(self.prompted, texts, strict=True)]
        return torch.tensor(scores, dtype=torch.float64)

    def _find_accuracy(self, policy: Any) -> float:
        """A preference of the policy is a higher gain in log-probability over the reference."""
        gains = compare_answers(policy, self.held_out) - self.reference
        return _mean(_count_half_ties(gains[:, 0] - gains[:, 1]))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.BFLOAT16)


@torch.no_grad()
def compare_answers(model: Any, pairs: Sequence[Pair]) -> Tensor:
    """(rows, 2): log-probability of the chosen and of the rejected answer, on the CPU."""
    prompts = [pair.prompt for pair in pairs for _ in range(2)]
    answers = [answer for pair in pairs for answer in (pair.chosen, pair.rejected)]
    found = torch.zeros(len(answers))
    for rows in split_rows(prompts, answers, model.config.vocab_size):
        padded = pad([prompts[row] for row in rows], [answers[row] for row in rows], model.device)
        found[rows] = find_log_probabilities(model, padded).cpu()
    return found.view(-1, 2)


def _count_half_ties(margin: Tensor) -> Tensor:
    return (margin > 0).double() + 0.5 * (margin == 0).double()


def _mean(values: Tensor) -> float:
    return float(values.double().mean())

"""How batches for the probes are drawn: log-probabilities, lengths, annotators and scores of every family.

Log-probabilities are multiples of 1/64, so that differences of them are exact and two batches with the same margins
have the same margins to the last bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS

Inputs = Mapping[str, Tensor]

TOKENS = 6
GROUP = 4
"""Answers to one prompt, in the batches of the matching family."""
_STEPS_A_NAT = 64
_AUXILIARY = {"chosen_aux": 1.0, "rejected_aux": 1.0, "prompt_value": 0.5}
"""Their standard deviations."""
_LONGEST = 64
_ANNOTATORS = torch.tensor([0, 1, 2, -1])


@dataclass(frozen=True)
class Shift:
    """How a batch's scores lie: a loss that centres or scales them by its batch's statistics shows by these."""

    mean: float = 0.0
    """In standard deviations."""
    width: float = 1.0
    longest_rejected: int = _LONGEST


def exact(values: Tensor) -> Tensor:
    return (values * _STEPS_A_NAT).round() / _STEPS_A_NAT


def normal(rows: int, sd: float, generator: Generator) -> Tensor:
    """Quantiles in random order: no outlier decides what a batch shows."""
    quantiles = torch.special.ndtri((torch.arange(rows) + 0.5) / rows)
    return sd * quantiles[torch.randperm(rows, generator=generator)]


def uniform(rows: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(rows, generator=generator)


def name_inputs(family: Family, *values: Tensor) -> dict[str, Tensor]:
    """In the family's order of inputs, of which the settings come last."""
    pairs = zip(INPUTS[family], values, strict=False)
    return {each.name: value.to(torch.int64) if each.is_integer else value for each, value in pairs}


def with_settings(inputs: Inputs, beta: float, progress: float) -> dict[str, Tensor]:
    settings = {"beta": beta, "progress": progress}
    return {**inputs, **{name: torch.tensor(value, dtype=torch.float64) for name, value in settings.items()}}


def draw_pairs(
    family: Family, chosen: Tensor, rejected: Tensor, generator: Generator, *, shift: Shift | None = None
) -> dict[str, Tensor]:
    """From how far the policy has moved from the reference."""
    rows, shift = len(chosen), shift or Shift()
    lengths = [uniform(rows, 8, longest, generator).round() for longest in (_LONGEST, shift.longest_rejected)]
    references = [exact(-40 - length * uniform(rows, 1, 3, generator)) for length in lengths]
    policy = (references[0] + exact(chosen), references[1] + exact(rejected))
    batch = name_inputs(family, *policy, *references, *lengths, _draw_annotators(rows, generator))
    if family is Family.AUXILIARY:
        batch |= {name: _draw_scores(rows, sd, generator, shift) for name, sd in _AUXILIARY.items()}
        batch["rejected_aux"] -= 1.5 * shift.mean
    return batch


def _draw_annotators(rows: int, generator: Generator) -> Tensor:
    """Each of them, and some more often: in every batch, others."""
    usual = torch.randint(len(_ANNOTATORS), (rows - len(_ANNOTATORS),), generator=generator)
    # Of two draws the lower one.
    usual = torch.minimum(usual, torch.randint(len(_ANNOTATORS), usual.shape, generator=generator))
    order = torch.randperm(len(_ANNOTATORS), generator=generator)
    drawn = torch.cat((_ANNOTATORS, _ANNOTATORS[order][usual]))
    return drawn[torch.randperm(rows, generator=generator)]


def _draw_scores(rows: int, sd: float, generator: Generator, shift: Shift) -> Tensor:
    return normal(rows, sd * shift.width, generator) + sd * shift.mean


def draw_outcomes(
    recorded: Tensor, sampled: Tensor, generator: Generator, *, shift: Shift | None = None
) -> dict[str, Tensor]:
    rows, shift = len(recorded), shift or Shift()
    references = [exact(-40 - uniform(rows, 8, 64, generator)) for _ in range(2)]
    behavior = references[0] + exact(_draw_scores(rows, 0.5, generator, shift))
    outcomes, predicted = _draw_scores(rows, 1.0, generator, shift), normal(rows, 0.5, generator)
    return name_inputs(
        Family.OUTCOME,
        *(references[0] + exact(recorded), behavior, references[0], outcomes, outcomes / 2 + predicted),
        *(references[1] + exact(sampled), references[1], _draw_scores(rows, 1.0, generator, shift)),
    )


def draw_sequences(
    ratios: Tensor, noise: float, generator: Generator, *, shift: Shift | None = None
) -> dict[str, Tensor]:
    """Some tokens are likely under the reference and some are not, for losses that treat them differently."""
    rows = len(ratios)
    lengths = torch.randint(2, TOKENS + 1, (rows, 1), generator=generator)
    mask = (torch.arange(TOKENS) < lengths).float()
    reference = exact(-uniform(rows * TOKENS, 0.5, 8, generator).view(rows, TOKENS))
    moved = ratios[:, None] / lengths + noise * torch.randn(rows, TOKENS, generator=generator)
    policy = (reference + exact(moved)).clamp(max=-1 / _STEPS_A_NAT)
    group = torch.arange(rows) // GROUP
    rewards = _draw_scores(rows, 1.5, generator, shift or Shift())
    return name_inputs(Family.MATCHING, policy, reference, mask, rewards, group)

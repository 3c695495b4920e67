"""The batches of a fingerprint: two for each magnitude, which differ in their means and widths.

Their gradients are looked at together, so that what a loss makes of its own batch's statistics shows: a mean that it
takes off its margins, or a weight that all rows of a batch share. In batches that are centred at zero nothing of that
would be seen.
"""

from functools import cache

import torch
from torch import Generator, Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.fingerprints import BETAS, MAGNITUDES, PROGRESS, REFERENCE_BETA
from workers.jail.draws import (
    Inputs,
    Shift,
    draw_outcomes,
    draw_pairs,
    draw_sequences,
    exact,
    normal,
    with_settings,
)

HALVES = 2
REFERENCE = BETAS.index(REFERENCE_BETA)
"""Its place among the betas of the grid."""
ROWS = 16
SEQUENCES = 8
_MEANS = ((0.5, -0.4), (-0.3, 0.6), (0.6, -0.3), (-0.5, 0.4), (0.4, -0.6), (-0.5, 0.3), (0.3, -0.5), (-0.4, 0.6))
"""Of the margins in both batches of each magnitude, in their standard deviations."""
_WIDTHS = (1.2, 0.8)
_SKEW = 0.15
_COMMON = ((0.0, 0.4), (0.5, -0.2), (-0.3, 0.3), (0.2, -0.4), (-0.5, 0.1), (0.3, -0.3), (0.4, 0.0), (-0.2, 0.5))
"""The mean log-ratio of both answers, in standard deviations of the margin. KTO looks at that."""
_LONGEST_REJECTED = (64, 20, 100, 40)
"""A loss that estimates a habit of preferring long answers finds several."""


@cache
def spread_batches(family: Family) -> tuple[Inputs, ...]:
    """At the reference beta, both of a magnitude beside each other. Lengths, annotators and scores vary in each."""
    batches = []
    for block, (magnitude, progress) in enumerate(zip(MAGNITUDES, PROGRESS, strict=True)):
        generator = torch.Generator().manual_seed(block)
        for half in range(HALVES):
            batch = _draw(family, block, half, magnitude, generator)
            batches.append(with_settings(batch, REFERENCE_BETA, progress))
    return tuple(batches)


@cache
def grid_inputs(family: Family) -> Inputs:
    """Every batch at every beta, stacked as the blocks of a fingerprint follow one another."""
    strengths = [torch.tensor(beta, dtype=torch.float64) for beta in BETAS]
    return stack([{**batch, "beta": beta} for beta in strengths for batch in spread_batches(family)])


def list_places(family: Family, *betas: int) -> list[int]:
    """Of all batches at the betas of these places, in the grid."""
    count = len(spread_batches(family))
    return [place for beta in betas for place in range(beta * count, (beta + 1) * count)]


def batches_at(family: Family, *betas: int) -> dict[str, Tensor]:
    places = list_places(family, *betas)
    return {name: each[places] for name, each in grid_inputs(family).items()}


def stack(batches: list[Inputs]) -> dict[str, Tensor]:
    return {name: torch.stack([each[name] for each in batches]) for name in batches[0]}


def _draw(family: Family, block: int, half: int, magnitude: float, generator: Generator) -> Inputs:
    longest = _LONGEST_REJECTED[(block + 2 * half) % len(_LONGEST_REJECTED)]
    shift = Shift(_MEANS[block][half], _WIDTHS[(block + half) % HALVES], longest)
    rows = SEQUENCES if family is Family.MATCHING else ROWS
    margin = _draw_margins(rows, block, generator)[half]
    if family is Family.MATCHING:
        return draw_sequences(magnitude * margin, 0.3, generator, shift=shift)
    if family is Family.OUTCOME:
        sampled = magnitude * _draw_margins(rows, block, generator)[1 - half]
        return draw_outcomes(magnitude * margin, sampled, generator, shift=shift)
    sd = magnitude / REFERENCE_BETA
    # Both answers of a pair become likelier or less likely together.
    common = normal(rows, sd / 2, generator) + sd * _COMMON[block][half]
    better = exact(common + sd * margin / 2)
    return draw_pairs(family, better, better - exact(sd * margin), generator, shift=shift)


def _draw_margins(rows: int, block: int, generator: Generator) -> list[Tensor]:
    """Of both batches, with a standard deviation of 1 in both together."""
    drawn = []
    for half, mean in enumerate(_MEANS[block]):
        quantiles = normal(rows, 1.0, generator)
        skewed = quantiles + (_SKEW if half else -_SKEW) * (quantiles**2 - 1)
        drawn.append(mean + _WIDTHS[(block + half) % HALVES] * skewed)
    together = torch.cat(drawn)
    return [each / together.std() for each in drawn]

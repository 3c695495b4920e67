"""The mean of a table of seeds by prompts, with an interval that allows for both: other seeds and other prompts."""

import math
from collections.abc import Sequence
from statistics import fmean, variance

from discovery_service.domain.intervals import Interval, bound

Table = Sequence[Sequence[float]]
"""A row a seed, a column a prompt."""


def find_mean(table: Table) -> Interval:
    """By Student's t, with degrees of freedom as Satterthwaite finds them.

    What seeds and prompts do together is counted twice, once on either side, so that the interval is rather too wide
    than too narrow. None of one seed, which says nothing of another one; nor where all values are equal: another
    prompt may well have another one.
    """
    by_seed, by_prompt = [fmean(row) for row in table], [fmean(column) for column in zip(*table, strict=True)]
    mean = fmean(by_seed)
    nothing = Interval(mean, None, None, len(by_seed))
    if len(by_seed) < 2 or len(by_prompt) < 2:
        return nothing
    of_seeds, of_prompts = variance(by_seed) / len(by_seed), variance(by_prompt) / len(by_prompt)
    if of_seeds + of_prompts == 0:
        return nothing
    error = math.sqrt(of_seeds + of_prompts)
    spread = of_seeds**2 / (len(by_seed) - 1) + of_prompts**2 / (len(by_prompt) - 1)
    return bound(mean, error, (of_seeds + of_prompts) ** 2 / spread, draws=len(by_seed))


def subtract(table: Table, other: Table) -> list[list[float]]:
    """The differences, seed by seed and prompt by prompt."""
    return [
        [value - its for value, its in zip(row, others, strict=True)] for row, others in zip(table, other, strict=True)
    ]

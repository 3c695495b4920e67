"""What is to be expected of a prompt's auxiliary scores, by what the base policy has read at its end."""

from collections.abc import Sequence

from torch import Tensor

from workers.arenas.expectiles import expect, fit_expectile


def find_values(read: Tensor, scores: Tensor, trained: Sequence[int]) -> Tensor:
    """(rows,): of every row's prompt, learnt from those that a draw trains on."""
    known = read[list(trained)]
    standard = (read - known.mean(0)) / known.std(0).clamp(min=1e-6)
    return expect(fit_expectile(standard[list(trained)], scores[list(trained)]), standard)

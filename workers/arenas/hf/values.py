"""What is to be expected of a prompt's auxiliary scores, by what the base policy has read at its end."""

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.arenas.expectiles import expect, fit_expectile
from workers.arenas.hf.folds import fold_rows, standardise
from workers.arenas.hf.tokenising import Asked


def find_values(rows: Sequence[Asked], read: Tensor, scores: Tensor, trained: Sequence[int]) -> Tensor:
    """(rows,): of each prompt that a draw trains on, learnt from the others; 0 for the rest.

    Learnt from its own scores as well, a value follows them: where scores are noise by .53 of 30 rows, .12 of 750.
    """
    values = torch.zeros(len(rows))
    for some, others in fold_rows(rows, trained):
        wanted, known = standardise(read[some], read[others])
        values[some] = expect(fit_expectile(known, scores[others]), wanted)
    return values

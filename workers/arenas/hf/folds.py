"""Parts of a draw's rows, so that of each something can be foretold from those of the others."""

from collections.abc import Sequence

from torch import Tensor

from workers.arenas.hf.division import group_by_prompt
from workers.arenas.hf.tokenising import Asked

FOLDS = 4


def fold_rows(rows: Sequence[Asked], trained: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Each part of the rows that are trained on, with all others of these. Rows of a prompt stay together unless there
    are fewer prompts than parts."""
    groups = group_by_prompt([rows[row] for row in trained])
    if len(groups) < FOLDS:
        groups = [[place] for place in range(len(trained))]
    found = []
    for fold in range(FOLDS):
        some = [trained[place] for group in groups[fold::FOLDS] for place in group]
        if some:
            found.append((some, sorted(set(trained) - set(some))))
    return found


def standardise(wanted: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Both, in numbers of mean 0 and variance 1 among the known rows."""
    centre, spread = known.mean(0), known.std(0, correction=0).clamp(min=1e-6)
    return (wanted - centre) / spread, (known - centre) / spread

"""Parts of a draw's rows, so that of each something can be foretold from the rows of the others."""

from collections.abc import Sequence

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

"""Whether a loss looks at where a row stands in its batch. Batches are shuffled, so that such a weight is chance: the
loss is another one with noise in it, and has as many twins as there are ways to number rows.

Not covered: what weighs less than half of the rows by their place, which ranks among equal rows do too.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from workers.jail.draws import Inputs
from workers.jail.probes import Loss, setting_inputs
from workers.jail.spread import REFERENCE, batches_at, list_places
from workers.jail.sweep import Runs, run_sweep

_NOTICEABLE = 0.01
"""Of a batch's mean gradient. Sums in another order differ by a millionth, or by as much as a loss makes of that."""


def sees_order(loss: Loss, grid: Runs, family: Family) -> bool:
    """Whether most rows are treated otherwise one place further on, and rows that are equal are too.

    The first alone would find what pairs a row with the one at its mirrored place, the second what ranks rows.
    """
    moved = run_sweep(loss, _moved(family), family)
    own = grid.take(list_places(family, REFERENCE))
    if not _most_differ(_by_row(own), _by_row(moved).roll(-1, dims=1)):
        return False
    equal = _by_row(run_sweep(loss, _equal(family), family))
    return bool(_differ(equal, equal[:, :1].expand_as(equal)).any())


@cache
def _moved(family: Family) -> Inputs:
    return _with_rows(family, lambda rows: rows.roll(1, dims=1))


@cache
def _equal(family: Family) -> Inputs:
    return _with_rows(family, lambda rows: rows[:, :1].expand_as(rows).contiguous())


def _with_rows(family: Family, change: Callable[[Tensor], Tensor]) -> Inputs:
    batches, settings = batches_at(family, REFERENCE), setting_inputs(family)
    return {name: each if name in settings else change(each) for name, each in batches.items()}


def _by_row(runs: Runs) -> Tensor:
    """All gradients of each row, by batch."""
    return torch.cat([each.reshape(*each.shape[:2], -1) for each in runs.gradients.values()], dim=2)


def _most_differ(ours: Tensor, theirs: Tensor) -> bool:
    return bool(_differ(ours, theirs).double().mean() > 0.5)


def _differ(ours: Tensor, theirs: Tensor) -> Tensor:
    """By row of each batch in which all is finite and something pushes."""
    is_told = (ours.isfinite() & theirs.isfinite()).all(dim=(1, 2)) & ours.any(dim=(1, 2))
    ours, theirs = ours[is_told], theirs[is_told]
    size = ours.abs().mean(dim=(1, 2), keepdim=True)
    return ((ours - theirs).abs() > _NOTICEABLE * size).any(dim=2)

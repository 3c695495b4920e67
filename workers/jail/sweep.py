"""Runs a loss on many stacked batches as one computation: thirty times as fast as one batch after another.

Not covered: what the vectoriser cannot do; that loss is run on one batch after another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from workers.jail.draws import Inputs
from workers.jail.probes import Loss, Run, differentiate, policy_inputs, run_losses

# What has no rule of its own runs in a loop of torch's, and would say so on every child's log.
torch._C._functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined]
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Runs:
    """As `Run`, with one run for each entry of the first dimension."""

    values: Tensor
    gradients: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, places: Sequence[int] | slice) -> "Runs":
        return Runs(self.values[places], {name: each[places] for name, each in self.gradients.items()})

    def first_rows(self, rows: int) -> "Runs":
        return Runs(self.values[:, :rows], {name: each[:, :rows] for name, each in self.gradients.items()})

    def separate(self) -> list[Run]:
        return [
            Run(values, {name: each[place] for name, each in self.gradients.items()})
            for place, values in enumerate(self.values)
        ]


def run_sweep(loss: Loss, stacked: Inputs, family: Family) -> Runs:
    """Raises Refused where the loss fails on a batch or answers with another shape than one value a row."""
    try:
        return _run_at_once(loss, stacked, family)
    except Exception:  # noqa: BLE001 - whatever the vectoriser raises; what is the loss's own fault is raised again
        count = len(next(iter(stacked.values())))
        batches = [{name: each[place] for name, each in stacked.items()} for place in range(count)]
        return _join(run_losses(loss, batches, family))


def _run_at_once(loss: Loss, stacked: Inputs, family: Family) -> Runs:
    names = list(stacked)
    leaves = {name: stacked[name].detach().requires_grad_() for name in policy_inputs(family)}
    given = {**stacked, **leaves}
    every = torch.vmap(lambda *one: loss(dict(zip(names, one, strict=True))))(*(given[name] for name in names))
    count, rows = next(iter(leaves.values())).shape[:2]
    if every.dim() != 2 or every.shape[1] not in (rows, 2 * rows):
        raise ValueError("not one value a row")
    gradients = differentiate([every], list(leaves.values()))
    values = every.detach().view(count, -1, rows).sum(dim=1) if every.shape[1] != rows else every.detach()
    return Runs(values, dict(zip(leaves, gradients, strict=True)))


def _join(runs: list[Run]) -> Runs:
    names = runs[0].gradients
    values = torch.stack([each.values for each in runs])
    return Runs(values, {name: torch.stack([each.gradients[name] for each in runs]) for name in names})


def find_differing(ours: Runs, theirs: Runs) -> Tensor:
    """Of each run, whether a value or a gradient is another one."""
    pairs = [(ours.values, theirs.values), *((ours.gradients[name], theirs.gradients[name]) for name in ours.gradients)]
    return torch.stack([_differ(one.flatten(1), other.flatten(1)) for one, other in pairs]).any(dim=0)


def _differ(ours: Tensor, theirs: Tensor) -> Tensor:
    size = torch.where(ours.isfinite(), ours.abs(), 0).mean(dim=1, keepdim=True)
    is_same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    is_near = (ours - theirs).abs() <= _TOLERANCE * (theirs.abs() + size)
    is_near &= ours.isfinite() & theirs.isfinite()
    return ~(is_same | is_near).all(dim=1)

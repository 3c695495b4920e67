"""A loss's fingerprint: its gradients' directions on fixed batches, over a grid of betas."""

import torch

from discovery_service.domain.families import Family
from workers.jail.probes import Loss
from workers.jail.spread import HALVES, grid_inputs
from workers.jail.sweep import Runs, run_sweep


def measure_fingerprint(loss: Loss, family: Family) -> bytes:
    """As the layout in discovery_service.losses.fingerprints says. Raises Refused."""
    return pack_fingerprint(run_grid(loss, family))


def run_grid(loss: Loss, family: Family) -> Runs:
    """Every batch at every beta, as the blocks of a fingerprint follow one another."""
    return run_sweep(loss, grid_inputs(family), family)


def pack_fingerprint(runs: Runs) -> bytes:
    # In double precision, for the square of an exponential loss's gradient overflows in single.
    gradients = torch.cat([each.double().flatten(1) for each in runs.gradients.values()], dim=1)
    gradients = gradients.view(len(runs) // HALVES, -1)
    length = gradients.norm(dim=1, keepdim=True)
    is_zero, is_finite = length == 0, length.isfinite()
    directions = torch.where(is_finite & ~is_zero, gradients / length, 0)
    return torch.cat((directions, is_zero, ~is_finite), dim=1).numpy().astype("<f2").tobytes()

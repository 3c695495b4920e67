"""A loss's fingerprint: its gradients' directions on fixed batches, over a grid of betas."""

from collections.abc import Iterable

import torch

from discovery_service.domain.families import Family
from discovery_service.losses.fingerprints import BETAS
from workers.jail.probes import Loss, Run, run_losses, spread_batches


def measure_fingerprint(loss: Loss, family: Family) -> bytes:
    """As the layout in discovery_service.losses.fingerprints says. Raises Refused."""
    return pack_fingerprint(run_grid(loss, family))


def run_grid(loss: Loss, family: Family) -> list[Run]:
    """Every batch at every beta, as the blocks of a fingerprint follow one another."""
    strengths = [torch.tensor(beta, dtype=torch.float64) for beta in BETAS]
    batches = spread_batches(family)
    return run_losses(loss, [{**batch, "beta": beta} for beta in strengths for batch in batches], family)


def pack_fingerprint(runs: Iterable[Run]) -> bytes:
    gradients = torch.stack([torch.cat([each.flatten() for each in run.gradients.values()]) for run in runs])
    # In double precision, for the square of an exponential loss's gradient overflows in single.
    gradients = gradients.double()
    length = gradients.norm(dim=1, keepdim=True)
    is_zero, is_finite = length == 0, length.isfinite()
    directions = torch.where(is_finite & ~is_zero, gradients / length, 0)
    return torch.cat((directions, is_zero, ~is_finite), dim=1).numpy().astype("<f2").tobytes()

"""The inputs on which the executed source and its graph are compared: fixed, in the range that training works in.

Covered: margins of exactly zero, as training starts with them, and some at the ends of the working range; lengths,
annotators and groups that vary. Not covered: what lies beyond; what a loss does there is for the probes.
"""

import torch
from torch import Generator, Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Input, Role, Shape
from workers.jail.cases import TOKENS

_NATS = 15.0
_FAR = slice(1, None, 5)
"""The rows that are moved all the way, where that is further than usual."""


def make_batch(family: Family, rows: int, seed: int, *, tokens: int = TOKENS, nats: float = _NATS) -> dict[str, Tensor]:
    """All inputs of the family but beta and progress, without gradients; `nats` is the largest difference."""
    generator = torch.Generator().manual_seed(seed)
    batch = {
        each.name: _draw(each, rows, tokens, generator) for each in INPUTS[family] if each.shape is not Shape.SCALAR
    }
    for name, reference in list(batch.items()):
        policy = name.replace("reference", "policy")
        if policy != name and policy in batch:
            batch[policy] = _move_from(reference, generator, nats)
    return batch


def make_weights(losses: int, seed: int) -> Tensor:
    """What each loss counts in the sum whose gradient is taken: unequal, so that no row stands in for another."""
    generator = torch.Generator().manual_seed(1_000 + seed)
    return 0.5 + torch.rand(losses, generator=generator)


def _draw(each: Input, rows: int, tokens: int, generator: Generator) -> Tensor:
    shape = (rows, tokens) if each.shape is Shape.TOKENS else (rows,)
    if each.name == "mask":
        lengths = torch.randint(1, tokens + 1, (rows, 1), generator=generator)
        return (torch.arange(tokens) < lengths).float()
    if each.name == "group":
        return torch.arange(rows) // 2
    if each.is_integer:
        return torch.randint(-1, 3, shape, generator=generator)
    if each.name.endswith("lengths"):
        return torch.randint(3, 30, shape, generator=generator).float()
    drawn = torch.randn(shape, generator=generator)
    if each.shape is Shape.TOKENS:
        return -(0.05 + 1.5 * drawn.abs())
    if each.role in (Role.POLICY, Role.REFERENCE) or each.name.endswith("logps"):
        return -(18.0 + 4.0 * drawn.clamp(-3, 3)) - 20.0 * torch.rand(shape, generator=generator)
    return drawn


def _move_from(reference: Tensor, generator: Generator, nats: float) -> Tensor:
    """Log-probabilities below zero; in every seventh row, from the third on, nothing has moved."""
    tokens = reference.shape[1] if reference.dim() > 1 else 1
    moved = min(3.0, nats / 2) / (2 * tokens if tokens > 1 else 1) * torch.randn(reference.shape, generator=generator)
    moved[2::7] = 0.0
    if nats > _NATS:
        moved[_FAR] = moved[_FAR].sign() * nats / tokens
    moved = moved.clamp(-nats, nats)
    return torch.minimum(reference + moved, torch.tensor(-1e-3))

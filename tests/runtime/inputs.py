"""Inputs of every family, as training gives them."""

import torch

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role, Shape


def make_inputs(
    family: str, rows: int, *, tokens: int = 5, seed: int = 0, beta: float = 0.1, progress: float = 0.25
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs: dict[str, torch.Tensor] = {}
    for each in INPUTS[Family(family)]:
        shape = (rows, tokens) if each.shape is Shape.TOKENS else (rows,)
        if each.role is Role.SETTING:
            inputs[each.name] = torch.tensor({"beta": beta, "progress": progress}[each.name], dtype=torch.float64)
        elif each.is_integer:
            inputs[each.name] = torch.randint(-1, 3, shape, generator=generator)
        elif each.name.endswith("_lengths"):
            inputs[each.name] = torch.randint(1, 40, shape, generator=generator).float()
        elif each.name == "mask":
            inputs[each.name] = (torch.rand(shape, generator=generator) < 0.8).float()
        else:
            inputs[each.name] = torch.randn(shape, generator=generator) * 2 - 5
        if each.role is Role.POLICY:
            inputs[each.name].requires_grad_()
    return inputs

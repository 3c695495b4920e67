"""Expectile regression, as UPO has it of its value head: what is to be expected of a prompt, and a bit more."""

import torch
from torch import Tensor

EXPECTILE = 0.7
"""Nearer to what good answers score than to the mean."""
_PULL_TO_ZERO = 1.0
_ROUNDS = 20
"""Of weighted least squares; the weights are settled after a handful."""


def fit_expectile(features: Tensor, scores: Tensor) -> Tensor:
    """(features + 1,): linear in (rows, features), of (rows, answers) scores; the last is the intercept."""
    inputs, scores = _with_one(features), scores.double()
    prior = _PULL_TO_ZERO * torch.eye(inputs.shape[1], dtype=torch.float64)
    prior[-1, -1] = 0.0
    head = torch.zeros(inputs.shape[1], dtype=torch.float64)
    for _ in range(_ROUNDS):
        is_below = scores < (inputs @ head)[:, None]
        weights = torch.where(is_below, 1 - EXPECTILE, EXPECTILE)
        curvature = inputs.T @ (inputs * weights.sum(1, keepdim=True)) + prior
        head = torch.linalg.solve(curvature, inputs.T @ (weights * scores).sum(1))
    return head


def expect(head: Tensor, features: Tensor) -> Tensor:
    return (_with_one(features) @ head).float()


def _with_one(features: Tensor) -> Tensor:
    return torch.cat((features.double(), torch.ones(len(features), 1, dtype=torch.float64)), 1)

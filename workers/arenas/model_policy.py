"""A policy that is a model, of which all weights are trained or an adapter's."""

from collections.abc import Iterable
from typing import Any

import torch


class ModelPolicy:
    """What it says of a batch, each kind of rows has to add."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        return (each for each in self.model.parameters() if each.requires_grad)

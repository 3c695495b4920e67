"""Which rows a step takes."""

import torch
from torch import Tensor


class Passes:
    """Each pass over the rows in an order of its own; what does not fill a batch is left out of it."""

    def __init__(self, rows: int, size: int, seed: int, device: torch.device) -> None:
        self._rows, self._size, self._device = rows, size, device
        self._order = torch.Generator().manual_seed(seed)
        self._left = torch.empty(0, dtype=torch.long, device=device)

    def take(self) -> Tensor:
        if len(self._left) < self._size:
            self._left = torch.randperm(self._rows, generator=self._order).to(self._device)
        taken, self._left = self._left[: self._size], self._left[self._size :]
        return taken

"""Which rows a step takes."""

import torch
from torch import Tensor


class Passes:
    """Each pass over the rows in an order of its own; what does not fill a batch is left out of it."""

    def __init__(self, rows: int, size: int, generator: torch.Generator, device: torch.device | None = None) -> None:
        """The numbers of rows come on the device, the CPU unless given."""
        self._rows, self._size, self._order = rows, size, generator
        self._left = torch.empty(0, dtype=torch.long, device=device)

    def take(self) -> Tensor:
        if len(self._left) < self._size:
            self._left = torch.randperm(self._rows, generator=self._order).to(self._left.device)
        taken, self._left = self._left[: self._size], self._left[self._size :]
        return taken

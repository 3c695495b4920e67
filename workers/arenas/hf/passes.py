"""Which rows of a file a step takes."""

from collections.abc import Sequence

import torch


class FilePasses:
    """Each pass over the rows in an order of its own; what does not fill a batch is left out of it."""

    def __init__(self, rows: Sequence[int], size: int, seed: int) -> None:
        self._rows, self._size = list(rows), size
        self._order = torch.Generator().manual_seed(seed)
        self._left: list[int] = []

    def take(self) -> list[int]:
        if len(self._left) < self._size:
            order = torch.randperm(len(self._rows), generator=self._order)
            self._left = [self._rows[place] for place in order.tolist()]
        taken, self._left = self._left[: self._size], self._left[self._size :]
        return taken

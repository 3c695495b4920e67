"""What makes the same calls on the same device give the same bits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def repeatable() -> Iterator[None]:
    """Within it an operation that cannot repeat its result raises.

    cuBLAS also wants CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment that its process is started in.
    """
    deterministic: Any = torch.utils.deterministic
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    # It guards against reading what nobody wrote, which is no chance of ours, and writes every new tensor twice.
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was[0], warn_only=was[1])
        deterministic.fill_uninitialized_memory = filled


def median(values: torch.Tensor, dim: int, keepdim: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """What torch.median gives along a dimension, the first NaN where there is one, by sorting.

    Torch's own chooses among equal values as it likes, and so refuses to run where results have to repeat.
    """
    if values.ndim and not values.shape[dim]:
        raise IndexError("an empty dimension has no median")
    ordered, places = torch.sort(values, dim=dim, stable=True)
    count = values.shape[dim] if values.ndim else 1
    missing = ordered.isnan().sum(dim, keepdim=True)
    middle = torch.where(missing > 0, count - missing, (count - 1) // 2)
    found = ordered.gather(dim, middle), places.gather(dim, middle)
    return found if keepdim or not values.ndim else (found[0].squeeze(dim), found[1].squeeze(dim))

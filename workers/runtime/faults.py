"""Tells an accelerator that fails or is full from an operation that does not take what it is given."""

import re

import torch

# Libraries on a card say it in a plain RuntimeError. Torch also names CUDA where it merely has no kernel for something.
_FAILING = re.compile(
    r"CUDA (driver )?error|CU[A-Z]+_STATUS_|(cuDNN|cuFFT|cuSOLVER|cuSPARSE|NVRTC) error", re.IGNORECASE
)


def is_of_device(error: Exception) -> bool:
    """Whose doing that is, what it computed cannot tell."""
    if isinstance(error, torch.OutOfMemoryError | torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and _FAILING.search(str(error)) is not None

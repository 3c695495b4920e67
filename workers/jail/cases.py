"""Where the executed source and its graph are compared: the batch sizes, beta and progress. Torch-free."""

from dataclasses import dataclass

ROWS = (2, 3, 7, 64)
TOKENS = 5
_BETAS = (0.1, 0.5, 1.0, 0.05, 0.2, 0.8, 0.15, 0.03, 0.6, 0.4, 0.07, 0.3)
_PROGRESS = (0.0, 0.55, 1.0, 0.35, 0.75, 0.15, 0.95, 0.25, 0.5, 0.65, 0.05, 0.85)


@dataclass(frozen=True)
class Case:
    rows: int
    beta: float
    progress: float
    seed: int


CASES = tuple(
    Case(ROWS[seed % len(ROWS)], beta, progress, seed)
    for seed, (beta, progress) in enumerate(zip(_BETAS, _PROGRESS, strict=True))
)
"""Each batch size at three beta, and nowhere the same beta or progress."""

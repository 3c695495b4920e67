"""Where the executed source and its graph are compared: the batch sizes, beta and progress. Torch-free."""

from dataclasses import dataclass

ROWS = (2, 3, 7, 64)
TOKENS = 5
_BETAS = (0.1, 0.5, 1.0, 0.05, 0.2, 0.8, 0.15, 0.03, 0.6, 0.4, 0.07, 0.3, 4.0, 2.5, 1.4, 0.7)
_PROGRESS = (0.0, 0.55, 1.0, 0.35, 0.75, 0.15, 0.95, 0.25, 0.5, 0.65, 0.05, 0.85, 0.6, 0.1, 0.9, 0.45)
_FAR = (0.15, 0.3)
"""The betas at which some rows have moved as far as the working range goes: beta times the margin stays within 20."""
_NATS = 15.0
_MOST_NATS = 20.0
_STRONGEST = 10.0
"""Beta times the difference on either side, at betas above 1."""


@dataclass(frozen=True)
class Case:
    rows: int
    beta: float
    progress: float
    seed: int

    @property
    def nats(self) -> float:
        """The largest difference of policy and reference on one answer."""
        return _MOST_NATS if self.beta in _FAR else min(_NATS, _STRONGEST / self.beta) if self.beta > 1 else _NATS


CASES = tuple(
    Case(ROWS[seed % len(ROWS)], beta, progress, seed)
    for seed, (beta, progress) in enumerate(zip(_BETAS, _PROGRESS, strict=True))
)
"""Each batch size at four beta, and nowhere the same beta or progress."""

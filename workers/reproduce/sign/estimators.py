"""A direction from answers: by the likelihood of one taste for all, and by the fewest pairs ordered wrongly.

Both are fits to all answers at once, not losses of an example in a batch, so neither goes through the gate; the
paper's loss for policies, which does, is the library's `sign`.
"""

import torch
from torch import Tensor

FIRST_BANDWIDTH = 1.0
STAGES = 5
RANDOM_STARTS = 3
_NEWTON_STEPS = 50


def fit_likelihood(sides: Tensor) -> Tensor:
    """The logistic regression's maximum."""
    nothing = torch.zeros(sides.shape[1], dtype=torch.float64)
    everyone = torch.ones(len(sides), dtype=torch.float64)
    return climb(sides.double(), everyone, nothing, ridge=0.0, steps=_NEWTON_STEPS)


def climb(sides: Tensor, weights: Tensor, taste: Tensor, *, ridge: float, steps: int) -> Tensor:
    """So many of Newton's steps up the weighted likelihood, less the ridge times half the taste's squared length."""
    eye = torch.eye(len(taste), dtype=torch.float64)
    value = _penalised(sides, weights, ridge, taste)
    for _ in range(steps):
        chances = torch.sigmoid(sides @ taste)
        slope = sides.T @ (weights * (1 - chances)) - ridge * taste
        curvature = (sides * (weights * chances * (1 - chances))[:, None]).T @ sides + (ridge + 1e-9) * eye
        step = torch.linalg.solve(curvature, slope)
        scale = 1.0
        # Far from the maximum a whole step may lead away from it.
        while (found := _penalised(sides, weights, ridge, taste + scale * step)) < value - 1e-9 and scale > 1e-3:
            scale /= 2
        taste, value = taste + scale * step, found
        if float(step.norm()) < 1e-8 * (1 + float(taste.norm())):
            break
    return taste


def _penalised(sides: Tensor, weights: Tensor, ridge: float, taste: Tensor) -> float:
    likelihood = weights @ torch.nn.functional.logsigmoid(sides @ taste)
    return float(likelihood - ridge / 2 * taste.square().sum())


def fit_sign(sides: Tensor, start: Tensor, generator: torch.Generator) -> Tensor:
    """The direction with the fewest pairs ordered wrongly, of those that a sigmoid in the place of the step leads to.

    The sigmoid narrows in stages to n^(-1/5); from `start` and from random directions, since it is not convex.
    """
    last = len(sides) ** -0.2
    bandwidths = [FIRST_BANDWIDTH * (last / FIRST_BANDWIDTH) ** (stage / (STAGES - 1)) for stage in range(STAGES)]
    starts = [start.float(), *torch.randn(RANDOM_STARTS, sides.shape[1], generator=generator)]
    found = [_anneal(sides, each, bandwidths) for each in starts]
    return min(found, key=lambda direction: count_wrong(sides, direction))


def count_wrong(sides: Tensor, direction: Tensor) -> int:
    return int((sides @ direction <= 0).sum())


def _anneal(sides: Tensor, start: Tensor, bandwidths: list[float]) -> Tensor:
    direction = start / start.norm()
    for bandwidth in bandwidths:
        direction = _descend(sides, direction, bandwidth)
        direction = direction / direction.norm()
    return direction


def _descend(sides: Tensor, start: Tensor, bandwidth: float) -> Tensor:
    point = start.clone().requires_grad_()
    search = torch.optim.LBFGS([point], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def find_loss() -> Tensor:
        search.zero_grad()
        loss = torch.sigmoid(-(sides @ point) / (point.norm() * bandwidth)).mean()
        loss.backward()
        return loss

    search.step(find_loss)
    return point.detach()

"""What a panel allows that single answers do not: a mixture of tastes, fitted by EM to who answered what.

A baseline of the sign estimator's paper, which says nothing of how it fits. Without a penalty a component grows
without bound on the few people it is left with, so this one is held by a ridge of a few answers' worth.
"""

import torch
from torch import Tensor

from workers.reproduce.sign.estimators import climb
from workers.reproduce.sign.world import Answers

RIDGE = 5 * 0.25
"""Five answers whose curvature, at most a quarter each, lies in every direction."""
RESTARTS = 2
_ROUNDS = 60
_STEPS = 2
"""Of Newton's method a round: EM gains by each step that goes up, to the top or not."""
_ENOUGH = 1e-3
"""Less gain of the log-likelihood a person than this ends a fit."""


def fit_mixture(answers: Answers, components: int, generator: torch.Generator) -> Tensor:
    """The mean taste of the better of the restarts."""
    fits = [_fit_once(answers, components, generator) for _ in range(RESTARTS)]
    _, shares, tastes = max(fits, key=lambda fit: fit[0])
    return shares @ tastes


def _fit_once(answers: Answers, components: int, generator: torch.Generator) -> tuple[float, Tensor, Tensor]:
    """The penalised log-likelihood, the components' shares and their tastes."""
    sides = answers.sides.double()
    people = int(answers.people.max()) + 1
    belongs = torch.rand(people, components, generator=generator, dtype=torch.float64)
    belongs /= belongs.sum(1, keepdim=True)
    value = -float("inf")
    tastes = torch.zeros(components, sides.shape[1], dtype=torch.float64)
    for _ in range(_ROUNDS):
        # One person more in each component, so that none dies out.
        shares = (belongs.sum(0) + 1) / (people + components)
        weights = belongs[answers.people]
        tastes = torch.stack([_improve(sides, *of) for of in zip(weights.T, tastes, strict=True)])
        said = torch.nn.functional.logsigmoid(sides @ tastes.T)
        joint = torch.zeros(people, components, dtype=torch.float64).index_add_(0, answers.people, said) + shares.log()
        was, value = value, float(joint.logsumexp(1).sum() - RIDGE / 2 * tastes.square().sum())
        belongs = joint.softmax(1)
        if value - was < _ENOUGH * people:
            break
    return value, shares, tastes


def _improve(sides: Tensor, weights: Tensor, taste: Tensor) -> Tensor:
    return climb(sides, weights, taste, ridge=RIDGE, steps=_STEPS)

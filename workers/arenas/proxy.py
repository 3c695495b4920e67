"""A reward fitted to the pairs' labels, as a user without the gold reward would have one: linear in a text's words."""

import torch
from torch import Tensor
from torch.nn import functional

from workers.arenas.texts import PROMPT, VOCABULARY

_PULL_TO_ZERO = 1.0
"""The precision of a normal prior on each word's worth; 1,024 labels do not settle 75 of them alone."""
_STEPS = 12
"""Of Newton's method; the logistic likelihood is concave and settled after six."""


def fit_reward(pairs: Tensor) -> Tensor:
    """(VOCABULARY,) worth of each word under Bradley-Terry, from (pairs, 2, TEXT) with the chosen answer first."""
    counts = count_words(pairs.flatten(0, 1)).double().unflatten(0, (-1, 2))
    gaps = counts[:, 0] - counts[:, 1]
    worth = torch.zeros(VOCABULARY, dtype=torch.float64)
    prior = _PULL_TO_ZERO * torch.eye(VOCABULARY, dtype=torch.float64)
    for _ in range(_STEPS):
        surprise = torch.sigmoid(-(gaps @ worth))
        slope = gaps.T @ surprise - _PULL_TO_ZERO * worth
        curvature = gaps.T @ (gaps * (surprise * (1 - surprise))[:, None]) + prior
        worth = worth + torch.linalg.solve(curvature, slope)
    return worth.float()


def count_words(texts: Tensor) -> Tensor:
    """(texts, VOCABULARY): how often each word is in the answer."""
    return functional.one_hot(texts[:, PROMPT:], VOCABULARY).sum(1).float()

"""Answers of people with different tastes: each compares two items by a linear utility of their own, and errs.

Item differences are x ~ N(0, I), and a person i says that x is good with chance sigma(beta_i x). Who is sure of
themselves sways a likelihood less than who is not, so that it points elsewhere than the mean of the betas, which is
the truth here: along the first axis.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

DIMENSIONS = 20
MEAN, SPREAD, NOISE = 2.0, 8.0, 0.5
"""The lengths of the mean taste, of the axis along which people differ, and of what else differs in each direction."""


class Crowd(StrEnum):
    SYMMETRIC = "symmetric"
    """Tastes lie as far on one side of their mean as on the other, as the paper demands."""
    SKEWED = "skewed"
    """Most people lie on one side a little, few on the other by far: what the paper excludes."""
    HOMOGENEOUS = "homogeneous"
    """Everybody has the mean taste."""


@dataclass(frozen=True)
class Answers:
    sides: Tensor
    """(n, d): the item that was preferred less the other one."""
    people: Tensor
    """(n,): who answered."""


def ask(crowd: Crowd, people: int, questions: int, generator: torch.Generator) -> Answers:
    """So many people, each so many questions."""
    tastes = draw_tastes(crowd, people, generator).repeat_interleave(questions, dim=0)
    items = torch.randn(people * questions, DIMENSIONS, generator=generator)
    chances = torch.sigmoid((tastes * items).sum(1))
    is_preferred = torch.rand(len(items), generator=generator) < chances
    sides = torch.where(is_preferred[:, None], items, -items)
    return Answers(sides, torch.arange(people).repeat_interleave(questions))


def draw_tastes(crowd: Crowd, people: int, generator: torch.Generator) -> Tensor:
    tastes = torch.zeros(people, DIMENSIONS)
    tastes[:, 0] = MEAN
    if crowd is Crowd.HOMOGENEOUS:
        return tastes
    where = torch.randn(people, 1, generator=generator)
    if crowd is Crowd.SKEWED:
        # Of mean 0 and variance 1 as before.
        where = torch.empty(people, 1).exponential_(generator=generator) - 1
    return tastes + SPREAD * where * dividing_axis() + NOISE * torch.randn(tastes.shape, generator=generator)


def dividing_axis() -> Tensor:
    """At 45 degrees to the mean taste."""
    axis = torch.zeros(DIMENSIONS)
    axis[:2] = math.sqrt(0.5)
    return axis


def find_angle(direction: Tensor) -> float:
    """In degrees from the mean taste."""
    return math.degrees(math.atan2(float(direction[1:].norm()), float(direction[0])))


def predict_likelihood_angle() -> float:
    """Where the likelihood's maximum lies for ever more answers, in degrees: along E[kappa(|beta|) beta], with
    kappa(s) = E[sigma'(s Z)], by Stein's lemma. No chance goes in.

    What lies off the plane of mean and axis adds to |beta| alone, as NOISE times the root of a chi-square.
    """
    along, chance_along = _normal_grid(8.0, 161)
    noise, chance_noise = _normal_grid(5.0, 13)
    degrees = DIMENSIONS - 2
    squares = torch.linspace(0, 80, 61, dtype=torch.float64)[1:]
    spread = torch.softmax((degrees / 2 - 1) * squares.log() - squares / 2, dim=0)
    shift = SPREAD * math.sqrt(0.5) * along[:, None, None, None]
    first = MEAN + shift + NOISE * noise[None, :, None, None]
    second = shift + NOISE * noise[None, None, :, None]
    kappa = _find_kappa((first.square() + second.square() + NOISE**2 * squares).sqrt())
    weights = chance_along[:, None, None, None] * chance_noise[None, :, None, None] * chance_noise[:, None] * spread
    weights = weights * kappa
    return math.degrees(math.atan2(abs(float((weights * second).sum())), float((weights * first).sum())))


def _normal_grid(reach: float, points: int) -> tuple[Tensor, Tensor]:
    """Places, and the normal distribution's weights on them."""
    places = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return places, torch.softmax(-places.square() / 2, dim=0)


def _find_kappa(lengths: Tensor) -> Tensor:
    """Between the places of a table, fine enough for six digits."""
    step = 0.01
    places = torch.arange(0, float(lengths.max()) + 2 * step, step, dtype=torch.float64)
    normal, density = _normal_grid(9.0, 1801)
    chances = torch.sigmoid(places[:, None] * normal)
    table = (chances * (1 - chances)) @ density
    left = (lengths / step).floor().long()
    return torch.lerp(table[left], table[left + 1], lengths / step - left)

"""What a row may count for: conditions on it, and weights between 0 and 1."""

from dataclasses import dataclass
from random import Random

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Unit
from workers.symbolic.expression import Tree
from workers.symbolic.notation import compare, multiply, negate, read_input, subtract, unary
from workers.symbolic.quantities import draw_factor, draw_known

_WEAKEST = 0.5
"""A weight that varies less is none."""
_CATEGORIES = (0, 0, 1, 1, 2)
"""The first ones exist more often."""


@dataclass(frozen=True)
class Said:
    tree: Tree
    text: str
    word: str


def draw_condition(family: Family, chance: Random) -> Said:
    """Who or what kind a row is of, where an input says so, or on which side of 0 a quantity lies."""
    categories = [each.name for each in INPUTS[family] if each.unit is Unit.CATEGORY]
    if categories and chance.random() < 0.5:
        name, value = chance.choice(categories), chance.choice(_CATEGORIES)
        packet, sign = chance.choice((("eq", "is"), ("ne", "is not")))
        return Said(compare(packet, read_input(name), value), f"{name} {sign} {value}", name)
    of = draw_known(family, chance)
    packet, sign = chance.choice((("gt", "above"), ("lt", "below")))
    if of.is_difference:
        return Said(compare(packet, of.tree, 0), f"{of.text} is {sign} 0", of.word)
    return Said(compare(packet, of.tree, unary("mean", of.tree)), f"{of.text} is {sign} its mean", of.word)


def draw_weight(family: Family, chance: Random) -> Said:
    """Of a quantity: falling with its size, or rising or falling with it."""
    of = draw_known(family, chance)
    factor = draw_factor(of.size, chance, _WEAKEST)
    if chance.random() < 0.5:
        tree = unary("exp", multiply(unary("abs", of.tree), -factor))
        return Said(tree, f"exp(-{factor:g} |{of.told}|)", of.word)
    factor *= chance.choice((1, -1))
    return Said(unary("sigmoid", multiply(of.tree, factor)), f"sigmoid({factor:g} * {of.text})", of.word)


def draw_progress(chance: Random) -> Said:
    """The share of training that is over, or what is left of it."""
    progress = read_input("progress")
    return chance.choice(
        (Said(progress, "progress", "progress"), Said(subtract(1, progress), "(1 - progress)", "remainder"))
    )


def hold_sigmoid(logit: Tree, chance: Random) -> Said:
    """How right or wrong the policy has a row by now, as a weight through which no gradient flows."""
    is_wrong = chance.random() < 0.5
    tree = unary("detach", unary("sigmoid", negate(logit) if is_wrong else logit))
    return Said(tree, f"sigmoid({'-' if is_wrong else ''}logit), held", "confidence")

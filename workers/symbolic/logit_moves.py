"""Moves that change what a link is given: a pair's logit, and through it which pairs are how far from being right."""

from random import Random

from workers.symbolic.expression import Apply, Leaf, Part, Tree, list_trees
from workers.symbolic.notation import add, choose, clamp, divide, multiply, negate, scale, unary
from workers.symbolic.quantities import draw_factor, draw_known
from workers.symbolic.sites import Draft
from workers.symbolic.weights import draw_condition, draw_weight

_BOUNDS = (1.0, 2.0, 3.0, 5.0)
_FACTORS = (0.3, 0.5, 0.7, 1.5, 2.0, 3.0)


def offset(draft: Draft, chance: Random) -> Draft | None:
    """What is known of a row shifts what its logit has to be. Always added, so that one offset has one graph."""
    if not draft.logits:
        return None
    logit, of = chance.choice(draft.logits), draw_known(draft.family, chance)
    factor = draw_factor(of.size, chance) * chance.choice((1, -1))
    return draft.swap(logit, add(logit, scale(of.tree, factor)), f"added {factor:g} * {of.text} to the logit", of.word)


def temper(draft: Draft, chance: Random) -> Draft | None:
    """A temperature of each row's own; one for all would be another beta."""
    if not draft.logits:
        return None
    logit, weight = chance.choice(draft.logits), draw_weight(draft.family, chance)
    said = f"multiplied the logit by {weight.text}"
    return draft.swap(logit, multiply(weight.tree, logit), said, f"tempered_{weight.word}")


def flip(draft: Draft, chance: Random) -> Draft | None:
    """Rows that are read the other way round."""
    if not draft.logits:
        return None
    logit, condition = chance.choice(draft.logits), draw_condition(draft.family, chance)
    flipped = choose(condition.tree, negate(logit), logit)
    return draft.swap(logit, flipped, f"turned the logit round where {condition.text}", f"turned_{condition.word}")


def bound(draft: Draft, chance: Random) -> Draft | None:
    if not draft.logits:
        return None
    logit, limit = chance.choice(draft.logits), chance.choice(_BOUNDS)
    if chance.random() < 0.5:
        return draft.swap(logit, clamp(logit, max=limit), f"kept the logit below {limit:g}", "capped")
    soft = scale(unary("tanh", divide(logit, limit)), limit)
    return draft.swap(logit, soft, f"bent the logit within {limit:g} by tanh", "bent")


def unbalance(draft: Draft, chance: Random) -> Draft | None:
    """One side of a difference or sum within a logit counts more or less than the other."""
    is_row = draft.inference.is_row
    sums = [
        tree
        for logit in draft.logits
        for tree in list_trees(logit)
        if isinstance(tree, Apply)
        and tree.packet in ("add", "sub")
        and draft.inference.is_moving_row(tree)
        and is_row(tree.arguments["self"])
        and is_row(tree.arguments["other"])
    ]
    if not sums:
        return None
    tree, side, factor = chance.choice(sums), chance.choice(("self", "other")), chance.choice(_FACTORS)
    operand = tree.arguments[side]
    assert isinstance(operand, Leaf | Apply | Part)
    new: Tree = Apply(tree.operation, {**tree.arguments, side: scale(operand, factor)})
    which = {"self": "first", "other": "second"}[side]
    said = (
        f"multiplied the {which} side of a {'sum' if tree.packet == 'add' else 'difference'} in the logit by {factor:g}"
    )
    return draft.swap(tree, new, said, "unbalanced")

"""Moves that take a part of a second parent: what shifts its logit, what its rows count by, its logit, or all of it."""

from collections.abc import Callable, Iterator
from random import Random

from workers.symbolic.expression import Apply, Leaf, Part, Tree, exchange, list_trees
from workers.symbolic.loss_moves import blend
from workers.symbolic.notation import choose, multiply
from workers.symbolic.sites import Draft

Join = Callable[[Draft, Draft, Random], Draft | None]


def take_offset(draft: Draft, other: Draft, chance: Random) -> Draft | None:
    """A summand of the other's logit through which the policy does not move."""
    found = [part for logit in other.logits for part in _find_still(other, logit, ("add", "sub"))]
    if not (found and draft.logits):
        return None
    (sum_, side, _), logit = chance.choice(found), chance.choice(draft.logits)
    overload = "aten.sub.Tensor" if sum_.packet == "sub" and side == "other" else "aten.add.Tensor"
    added = Apply(overload, {"self": logit, "other": sum_.arguments[side]})
    return draft.swap(logit, added, "took over what shifts the other's logit", "shifted")


def take_weight(draft: Draft, other: Draft, chance: Random) -> Draft | None:
    """What a row of the other counts by, or the condition under which it does."""
    found: list[tuple[Apply, str, Tree]] = [
        each for term in (other.root, *other.terms) for each in _find_still(other, term, ("mul", "where"))
    ]
    if not (found and draft.is_by_row):
        return None
    product, _, weight = chance.choice(found)
    tree = multiply(weight, draft.root) if product.packet == "mul" else choose(weight, draft.root, 0.0)
    return draft.change(tree, "took over what the other's rows count by", "weighed")


def _find_still(draft: Draft, start: Tree, packets: tuple[str, ...]) -> Iterator[tuple[Apply, str, Tree]]:
    """Operands by row through which the policy does not move, beside one through which it does."""
    inference = draft.inference
    for tree in list_trees(start):
        if not (isinstance(tree, Apply) and tree.packet in packets and inference.is_moving_row(tree)):
            continue
        sides = ("condition",) if tree.packet == "where" else ("self", "other")
        for side in sides:
            operand = tree.arguments[side]
            if (
                isinstance(operand, Leaf | Apply | Part)
                and inference.is_row(operand)
                and not inference.is_moving(operand)
            ):
                yield tree, side, operand


def take_logit(draft: Draft, other: Draft, chance: Random) -> Draft | None:
    """The one's loss of the other's logit."""
    if not (draft.logits and other.logits):
        return None
    logit = chance.choice(other.logits)
    root = exchange(draft.root, dict.fromkeys(draft.logits, logit))
    return draft.change(root, "put the other's logit in the place of its own", "logit")


def blend_both(draft: Draft, other: Draft, chance: Random) -> Draft | None:
    if not (draft.is_by_row and other.is_by_row):
        return None
    return blend(draft, draft.root, other.root, "the other", chance)


_JOINS: tuple[tuple[Join, float], ...] = ((take_offset, 2.0), (take_weight, 2.0), (take_logit, 1.0), (blend_both, 1.5))


def join(draft: Draft, other: Draft, chance: Random) -> Draft | None:
    """In one of the ways that these two allow; None where there is none."""
    left = dict(_JOINS)
    while left:
        [way] = chance.choices(list(left), list(left.values()))
        if (joined := way(draft, other, chance)) is not None:
            return joined
        del left[way]
    return None

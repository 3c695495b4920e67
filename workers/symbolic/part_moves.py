"""Moves that change what is there already: a constant, a link, what log-probabilities are measured by; or leave a part
out, which is how a loss becomes simpler again."""

from collections.abc import Iterator
from random import Random

from discovery_service.losses.families import Unit, find_input
from workers.symbolic.expression import Apply, Leaf, Part, Tree, exchange
from workers.symbolic.inference import Shape
from workers.symbolic.links import find_links, list_other_links, relink
from workers.symbolic.notation import divide, negate, round_number, unary
from workers.symbolic.quantities import count_tokens, find_length
from workers.symbolic.sites import Draft, Number

_FACTORS = (0.3, 0.5, 2.0, 3.0)
_LARGEST_SHARE = 0.9


def change_number(draft: Draft, chance: Random) -> Draft | None:
    """By a factor, or its sign where it is a coefficient. A category is another number."""
    numbers: list[Number | Apply] = [*draft.numbers, *_find_categories(draft)]
    if not numbers:
        return None
    number = chance.choice(numbers)
    if isinstance(number, Apply):
        category = chance.choice([each for each in (0, 1, 2) if each != number.arguments["other"]])
        new = Apply(number.operation, {**number.arguments, "other": category})
        return draft.swap(number, new, f"compared a category with {category}", f"category_{category}")
    value = _draw_value(draft, number, chance)
    root = draft.write_number(number, value)
    return draft.change(root, f"changed the constant {number.value:g} to {value:g}", "constant")


def _draw_value(draft: Draft, number: Number, chance: Random) -> float:
    if _has_free_sign(draft, number) and chance.random() < 0.3:
        return -number.value
    value = round_number(number.value * chance.choice(_FACTORS), 2)
    # What the rest is left of is a share, and stays one.
    is_share = any(
        isinstance(tree, Apply) and tree.packet == "rsub" and tree.arguments["self"] is number.holder
        for tree in draft.trees
    )
    return min(value, _LARGEST_SHARE) if is_share and 0 < number.value < 1 else value


def _has_free_sign(draft: Draft, number: Number) -> bool:
    """A coefficient of what is known of a row, but for what decides how a weight falls."""
    holder = number.holder
    if not isinstance(holder, Apply) or holder.packet != "mul":
        return False
    of = holder.arguments["self"]
    return isinstance(of, Leaf | Apply) and not draft.inference.is_moving(of) and getattr(of, "packet", "") != "abs"


def _find_categories(draft: Draft) -> list[Apply]:
    """Comparisons of an input with a whole number."""
    return [
        tree
        for tree in draft.trees
        if isinstance(tree, Apply)
        and tree.packet in ("eq", "ne")
        and isinstance(tree.arguments["self"], Leaf)
        and isinstance(tree.arguments["other"], int)
    ]


def change_link(draft: Draft, chance: Random) -> Draft | None:
    links = find_links(draft.trees)
    if not links:
        return None
    name = chance.choice(list(links))
    other, link = chance.choice(list(list_other_links(name).items()))
    root = exchange(draft.root, relink(name, links[name], link))
    return draft.change(root, f"put {other.replace('_', ' ')} in the place of {name.replace('_', ' ')}", other)


def relate_to_length(draft: Draft, chance: Random) -> Draft | None:
    """Log-probabilities by token, or by the root of the length, everywhere in the loss."""
    is_root = chance.random() < 0.3
    swaps: dict[Tree, Tree] = {}
    for tree in draft.trees:
        words = _find_words(draft, tree)
        if words is None:
            continue
        length = find_length(draft.family, words)
        if length is None or _is_divided(draft, tree):
            return None
        divisor = count_tokens(length)
        swaps[tree] = divide(tree, unary("sqrt", divisor) if is_root else divisor)
    if not swaps:
        return None
    by = "the root of the length" if is_root else "the length"
    word = "by_root_length" if is_root else "by_length"
    return draft.change(exchange(draft.root, swaps), f"divided log-probabilities by {by}", word)


def _find_words(draft: Draft, tree: Tree) -> frozenset[str] | None:
    """Of the name of a row's log-probability; none where it is a sum over tokens."""
    if isinstance(tree, Leaf) and isinstance(tree.content, str):
        declared = find_input(draft.family, tree.content)
        is_row = declared is not None and declared.unit is Unit.NATS and draft.inference.is_row(tree)
        return frozenset(tree.content.split("_")) if is_row else None
    if isinstance(tree, Apply) and tree.packet == "sum" and draft.inference.is_row(tree):
        summed = tree.arguments["self"]
        if isinstance(summed, Apply | Part) and draft.inference.find_shape(summed) is Shape.TOKENS:
            return frozenset()
    return None


def _is_divided(draft: Draft, tree: Tree) -> bool:
    return any(
        isinstance(user, Apply)
        and user.packet == "div"
        and user.arguments["self"] is tree
        and draft.inference.is_row(user.arguments["other"])
        for user in draft.trees
    )


def leave_out(draft: Draft, chance: Random) -> Draft | None:
    """One operand of an operation goes, the operation with it; never what only scales, for that is tuned anyway."""
    found = [pair for tree in draft.trees if tree not in draft.scales for pair in _find_simpler(draft, tree)]
    if not found:
        return None
    tree, simpler, said = chance.choice(found)
    return draft.swap(tree, simpler, said, "simpler")


def _find_simpler(draft: Draft, tree: Tree) -> Iterator[tuple[Tree, Tree, str]]:
    """What may take its place: of the same shape, and moving with the policy if it does."""
    if not isinstance(tree, Apply):
        return
    match tree.packet:
        case "add" | "sub" | "mul":
            sides = [("self", "second"), ("other", "first")]
            kept_by = {"add": "of a sum", "sub": "of a difference", "mul": "of a product"}[tree.packet]
        case "where":
            sides, kept_by = [("self", "other"), ("other", "first")], "of a choice"
        case "clamp" | "tanh" | "abs" | "detach":
            sides, kept_by = [("self", tree.packet)], "around a part"
        case _:
            return
    for name, left_out in sides:
        kept = tree.arguments[name]
        if isinstance(kept, Leaf | Apply | Part) and _may_stand_for(draft, kept, tree):
            simpler = negate(kept) if tree.packet == "sub" and name == "other" else kept
            yield tree, simpler, f"left out the {left_out} {'part ' if len(sides) > 1 else ''}{kept_by}"


def _may_stand_for(draft: Draft, kept: Tree, tree: Tree) -> bool:
    inference = draft.inference
    return inference.find_shape(kept) is inference.find_shape(tree) and (
        inference.is_moving(kept) or not inference.is_moving(tree)
    )

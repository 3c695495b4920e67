"""Moves that change what a row's loss counts for, and what stands beside it."""

from random import Random

from workers.symbolic.expression import Tree, exchange
from workers.symbolic.links import find_links, list_other_links, relink
from workers.symbolic.notation import (
    add,
    choose,
    multiply,
    negate,
    round_number,
    scale,
    square,
    subtract,
    unary,
)
from workers.symbolic.quantities import Quantity, average, draw_factor, find_length, list_ratios, list_rows
from workers.symbolic.sites import Draft
from workers.symbolic.weights import Said, draw_condition, draw_progress, draw_weight, hold_sigmoid

_SHARES = (0.2, 0.3, 0.5, 0.7, 0.8)
_SMOOTHING = (0.05, 0.1, 0.2, 0.3)
_LEAST = (0.0, 0.0, 0.1, 0.3)


def weigh(draft: Draft, chance: Random) -> Draft | None:
    """The loss of a row, or a term of it, counts by what is known of the row. A weight for all rows alike would be
    another learning rate."""
    if not draft.is_by_row:
        return None
    term = draft.root if chance.random() < 0.7 else chance.choice(draft.terms)
    which = "the loss" if term is draft.root else "a term"
    pick = chance.random()
    if pick < 0.4:
        condition, least = draw_condition(draft.family, chance), chance.choice(_LEAST)
        elsewhere = scale(term, least) if least else 0.0
        said = f"counted {which} {least:g} times where not {condition.text}"
        return draft.swap(term, choose(condition.tree, term, elsewhere), said, f"where_{condition.word}")
    if pick < 0.85 or not draft.logits:
        weight = draw_weight(draft.family, chance)
    else:
        weight = hold_sigmoid(chance.choice(draft.logits), chance)
    said = f"multiplied {which} by {weight.text}"
    return draft.swap(term, multiply(weight.tree, term), said, f"by_{weight.word}")


def blend(draft: Draft, one: Tree, other: Tree, which: str, chance: Random) -> Draft:
    """Of two losses that are one number a row: by a constant, by progress, or by what is known of the row."""
    pick = chance.random()
    if pick < 0.4:
        share = chance.choice(_SHARES)
        tree = add(scale(one, round_number(1 - share)), scale(other, share))
        return draft.change(tree, f"blended it with {which} by a share of {share:g}", "blend")
    if pick < 0.7:
        condition = draw_condition(draft.family, chance)
        tree = choose(condition.tree, one, other)
        return draft.change(tree, f"took {which} except where {condition.text}", f"else_{condition.word}")
    weight: Said = draw_progress(chance) if pick < 0.85 else draw_weight(draft.family, chance)
    tree = add(multiply(subtract(1, weight.tree), one), multiply(weight.tree, other))
    return draft.change(tree, f"blended it with {which} by a share of {weight.text}", f"blend_{weight.word}")


def blend_links(draft: Draft, chance: Random) -> Draft | None:
    links = find_links(draft.trees)
    if not draft.is_by_row or not links:
        return None
    name = chance.choice(list(links))
    other, link = chance.choice(list(list_other_links(name).items()))
    relinked = exchange(draft.root, relink(name, links[name], link))
    return blend(draft, draft.root, relinked, f"itself under the {other.replace('_', ' ')} link", chance)


def smooth(draft: Draft, chance: Random) -> Draft | None:
    """Some share of the labels is taken to be wrong."""
    if not draft.is_by_row or not draft.logits:
        return None
    share = chance.choice(_SMOOTHING)
    turned = exchange(draft.root, {logit: negate(logit) for logit in draft.logits})
    tree = add(scale(draft.root, round_number(1 - share, 2)), scale(turned, share))
    return draft.change(tree, f"took a share of {share:g} of the labels to be wrong", "smoothed")


def anchor(draft: Draft, chance: Random) -> Draft | None:
    """Something beside the loss that holds one answer's log-probability."""
    if not draft.is_by_row:
        return None
    ratios = list_ratios(draft.family)
    if ratios and chance.random() < 0.6:
        of = chance.choice(ratios)
        tree, size, said = chance.choice(
            (
                (unary("relu", negate(of.tree)), of.size, f"what {of.text} lies below 0"),
                (square(of.tree), of.size**2, f"the square of {of.text}"),
                (unary("abs", of.tree), of.size, f"the size of {of.text}"),
            )
        )
    else:
        of = chance.choice([_average(draft, each) for each in list_rows(draft.family) if each.is_moving])
        tree, size, said = negate(of.tree), of.size, f"-{of.text}"
    factor = draw_factor(size, chance)
    return draft.change(add(draft.root, scale(tree, factor)), f"added {factor:g} times {said}", f"anchored_{of.word}")


def _average(draft: Draft, of: Quantity) -> Quantity:
    length = find_length(draft.family, of.words)
    return of if length is None else average(of, length)

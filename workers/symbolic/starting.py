"""Losses to start from where there is no library, or where something fresh is wanted: the plain forms that a family's
inputs allow, each a margin under a link, a score that weighs a likelihood, or a regression on a score."""

from collections.abc import Sequence
from random import Random

from discovery_service.domain.families import Family
from discovery_service.losses.families import Unit
from workers.symbolic.expression import Tree
from workers.symbolic.links import LINKS
from workers.symbolic.notation import clamp, multiply, negate, read_input, square, subtract, unary
from workers.symbolic.quantities import (
    Quantity,
    average,
    centre,
    find_answers,
    find_length,
    list_differences,
    list_margins,
    list_ratios,
    list_rows,
)
from workers.symbolic.sites import Draft

_LARGEST_LOG_RATIO = 5.0
_LABELS = frozenset({"chosen", "rejected"})
"""What the names of inputs say of a pair that somebody labelled."""


def start_fresh(family: Family, chance: Random) -> Draft:
    """A pair's label says which answer is better; elsewhere only scores do."""
    scores = [each for each in (*list_rows(family), *list_differences(family)) if each.unit is Unit.SCORE]
    labelled = _list_labelled(family)
    if labelled and (not scores or chance.random() < 0.6):
        return _prefer(family, chance.choice(labelled), chance)
    score = chance.choice(scores)
    score = score if score.is_difference else centre(family, score, chance)
    return chance.choice((_regress, _weigh_likelihood, _weigh_ratio, _classify))(family, score, chance)


def _list_labelled(family: Family) -> list[Quantity]:
    """Margins of the answer that was chosen over the one that was not, by token as well."""
    margins = [each for each in list_margins(family) if each.words >= _LABELS]
    answers = [each for each in list_rows(family) if each.is_moving and each.words & _LABELS]
    lengths = [find_length(family, each.words) for each in answers]
    by_token = [average(each, length) for each, length in zip(answers, lengths, strict=True) if length is not None]
    if len(by_token) == len(_LABELS):
        one, other = by_token
        tree, text = subtract(one.tree, other.tree), f"{one.text} - {other.text}"
        margins.append(Quantity(tree, Unit.NATS, text, "by_token", 1.0, one.inputs | other.inputs, True, True))
    return margins


def _prefer(family: Family, margin: Quantity, chance: Random) -> Draft:
    name = chance.choice(list(LINKS))
    tree = LINKS[name](_scale(margin.tree))
    return Draft(
        family, tree, (f"put beta times {margin.text} under the {name.replace('_', ' ')} link",), (name, margin.word)
    )


def _regress(family: Family, score: Quantity, chance: Random) -> Draft:
    of = _draw_moving(family, score, chance)
    tree = square(subtract(_scale(of.tree), score.tree))
    return Draft(family, tree, (f"regressed beta times {of.text} on {score.text}",), ("regressed", score.word))


def _weigh_likelihood(family: Family, score: Quantity, chance: Random) -> Draft:
    """Better answers become likelier, the better the more, and none less likely."""
    of = _draw_fitting(family, score, [each for each in list_rows(family) if each.is_moving], chance)
    length = find_length(family, of.words)
    of = of if length is None else average(of, length)
    weight = unary("exp", clamp(score.tree, max=_LARGEST_LOG_RATIO))
    tree = negate(multiply(weight, of.tree))
    return Draft(family, tree, (f"weighed {of.text} by exp({score.told})",), ("likelihood", score.word))


def _weigh_ratio(family: Family, score: Quantity, chance: Random) -> Draft:
    """The score that is to be expected of the policy, with a ratio that is kept from running away."""
    of = _draw_moving(family, score, chance)
    ratio = unary("exp", clamp(of.tree, max=_LARGEST_LOG_RATIO))
    tree = negate(multiply(score.tree, ratio))
    return Draft(family, tree, (f"weighed {score.text} by exp({of.told})",), ("ratio", score.word))


def _classify(family: Family, score: Quantity, chance: Random) -> Draft:
    of, name = _draw_moving(family, score, chance), chance.choice(list(LINKS))
    tree: Tree = LINKS[name](multiply(score.tree, _scale(of.tree)))
    said = f"put {score.text} times beta times {of.text} under the {name.replace('_', ' ')} link"
    return Draft(family, tree, (said,), (name, score.word))


def _draw_fitting(family: Family, score: Quantity, moving: Sequence[Quantity], chance: Random) -> Quantity:
    """Of the answers that the score is of, where there is one."""
    answers = find_answers(family, score)
    return chance.choice([each for each in moving if find_answers(family, each) == answers] or moving)


def _draw_moving(family: Family, score: Quantity, chance: Random) -> Quantity:
    return _draw_fitting(family, score, (*list_ratios(family), *list_margins(family)), chance)


def _scale(tree: Tree) -> Tree:
    return multiply(read_input("beta"), tree)

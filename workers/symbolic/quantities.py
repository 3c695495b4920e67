"""What a family's inputs say of a row, as quantities of a known unit and size: the material of new parts.

Derived from the table of inputs alone, by unit, shape and role: what two inputs of one unit differ by, what a token of
an answer has on average, how far a score lies from those of its group. A new input takes part without a word here.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from random import Random

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Input, Role, Shape, Unit
from workers.symbolic.expression import Tree
from workers.symbolic.notation import (
    clamp,
    divide,
    mean_of_group,
    multiply,
    read_input,
    round_number,
    subtract,
    sum_last,
    unary,
)

_SIZES = {Unit.NATS: 5.0, Unit.LENGTH: 5.0, Unit.SCORE: 1.0}
"""About how much two answers differ; a token has about a nat."""
WEAKEST, STRONGEST = 0.2, 3.0
"""Between which a change of a logit does something: below the labels hardly notice, above little else counts."""


@dataclass(frozen=True)
class Quantity:
    tree: Tree
    unit: Unit
    text: str
    """As it is told."""
    word: str
    """As it stands in a name."""
    size: float
    inputs: frozenset[str]
    """The names of those that it is made of."""
    is_moving: bool = False
    """With the policy."""
    is_difference: bool = False

    @property
    def words(self) -> frozenset[str]:
        """Of the names of its inputs."""
        return frozenset(word for name in self.inputs for word in name.split("_")) - {"token"}

    @property
    def told(self) -> str:
        """Without brackets around all of it."""
        return self.text[1:-1] if self.text.startswith("(") and self.text.endswith(")") else self.text


@cache
def list_rows(family: Family) -> tuple[Quantity, ...]:
    """Each input that says how much, one number a row; those by token are added up over the answer."""
    masks = [each for each in INPUTS[family] if each.unit is Unit.MASK]
    return tuple(
        _read_row(each, masks)
        for each in INPUTS[family]
        if each.unit in _SIZES or (each.unit is Unit.MASK and each.shape is Shape.TOKENS)
    )


def _read_row(given: Input, masks: list[Input]) -> Quantity:
    own = frozenset({given.name})
    if given.unit is Unit.MASK:
        return Quantity(sum_last(read_input(given.name)), Unit.LENGTH, "length", "length", 10.0, own)
    tree: Tree = read_input(given.name)
    text = given.name
    if given.shape is Shape.TOKENS:
        tree = sum_last(multiply(tree, read_input(masks[0].name)) if masks else tree)
        text = given.name.replace("token_", "")
    size = _SIZES[given.unit] * (1 if given.unit is Unit.SCORE else 4)
    return Quantity(tree, given.unit, text, _shorten(text), size, own, given.role is Role.POLICY)


@cache
def list_differences(family: Family) -> tuple[Quantity, ...]:
    """Of two inputs of one unit. Log-probabilities and lengths are compared where just one word tells them apart, as
    the policy's and the reference's of one answer are."""
    return tuple(
        _subtract(one, other)
        for one, other in combinations(list_rows(family), 2)
        if one.unit is other.unit and (one.unit is Unit.SCORE or len(one.words ^ other.words) <= 2)
    )


def _subtract(one: Quantity, other: Quantity) -> Quantity:
    return Quantity(
        subtract(one.tree, other.tree),
        one.unit,
        f"({one.text} - {other.text})",
        _shorten("_".join(sorted(one.words & other.words, key=one.text.find))) or one.word,
        _SIZES[one.unit],
        one.inputs | other.inputs,
        one.is_moving or other.is_moving,
        is_difference=True,
    )


@cache
def list_ratios(family: Family) -> tuple[Quantity, ...]:
    """Log-ratios of the policy to what does not move, each of one answer."""
    still = {name for each in list_rows(family) if not each.is_moving for name in each.inputs}
    return tuple(
        each for each in list_differences(family) if each.is_moving and each.unit is Unit.NATS and each.inputs & still
    )


@cache
def list_margins(family: Family) -> tuple[Quantity, ...]:
    """By how much more the policy says one answer than another: against what does not move, and as it is."""
    ratios = list_ratios(family)
    against = (_subtract(*pair) for pair in combinations(ratios, 2) if not pair[0].inputs & pair[1].inputs)
    plain = (each for each in list_differences(family) if each.is_moving and each not in ratios)
    return (*against, *plain)


def find_length(family: Family, words: frozenset[str]) -> Quantity | None:
    """Of the answer that a log-probability with these words in its name is of."""
    lengths = (each for each in list_rows(family) if each.unit is Unit.LENGTH)
    return next((each for each in lengths if each.words - {"lengths", "mask"} <= words), None)


def average(of: Quantity, length: Quantity) -> Quantity:
    tree = divide(of.tree, count_tokens(length))
    return Quantity(tree, of.unit, f"{of.text} per token", f"{of.word}_per_token", 1.0, of.inputs, of.is_moving)


@cache
def _list_answer_words(family: Family) -> frozenset[str]:
    """Words in names of inputs of more than one unit: they say of which answer something is told."""
    units: dict[str, set[Unit]] = {}
    for each in list_rows(family):
        for word in each.words:
            units.setdefault(word, set()).add(each.unit)
    return frozenset(word for word, of in units.items() if len(of) > 1)


def find_answers(family: Family, of: Quantity) -> frozenset[str]:
    """Of which answers it tells something; the one that needs no word is not named."""
    return of.words & _list_answer_words(family)


def count_tokens(length: Quantity) -> Tree:
    """As a divisor."""
    return clamp(length.tree, min=1)


def draw_known(family: Family, chance: Random) -> Quantity:
    """What is known of a row whatever the policy says: first a unit, then a form, so that no unit is rare because
    few inputs have it."""
    rows = [each for each in list_rows(family) if not each.is_moving]
    unit = chance.choice(list(dict.fromkeys(each.unit for each in rows)))
    differences = [each for each in list_differences(family) if each.unit is unit and not each.is_moving]
    singles = [each for each in rows if each.unit is unit]
    if differences and chance.random() < 0.8:
        return chance.choice(differences)
    single = chance.choice(singles)
    length = find_length(family, single.words) if unit is Unit.NATS else None
    if length is not None and chance.random() < 0.5:
        return average(single, length)
    return centre(family, single, chance)


def centre(family: Family, of: Quantity, chance: Random) -> Quantity:
    """Against the mean of its group, or of the batch where rows belong to none; as it is half the time."""
    if chance.random() < 0.5:
        return of
    groups = [each for each in INPUTS[family] if each.unit is Unit.GROUP]
    if groups:
        mean, said = mean_of_group(of.tree, read_input(groups[0].name)), f"its mean of the {groups[0].name}"
    else:
        mean, said = unary("mean", of.tree), "its mean"
    text = f"({of.text} - {said})"
    return Quantity(subtract(of.tree, mean), of.unit, text, of.word, _SIZES[of.unit], of.inputs, of.is_moving, True)


def draw_factor(size: float, chance: Random, weakest: float = WEAKEST) -> float:
    """Positive, with one digit, such that what has that size becomes what a logit or a weight notices."""
    return round_number(weakest * (STRONGEST / weakest) ** chance.random() / size)


def _shorten(text: str) -> str:
    """The last two words of it, without what every log-probability is called."""
    words = [each for each in text.split("_") if each not in ("logps", "token")]
    return "_".join(words[-2:])

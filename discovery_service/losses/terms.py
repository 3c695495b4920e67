"""The notation of formulas: terms of plain text that know how tightly they hold together, and what joins them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

_MINUS, _DOT, _SIGMA = "\N{MINUS SIGN}", "\N{MIDDLE DOT}", "\N{GREEK SMALL LETTER SIGMA}"
_RAISED = {"2": "\N{SUPERSCRIPT TWO}", "3": "\N{SUPERSCRIPT THREE}"}


class Binding(IntEnum):
    RELATION = 0
    SUM = 1
    NEGATION = 2
    PRODUCT = 3
    APPLICATION = 4
    POWER = 5
    ATOM = 6


@dataclass(frozen=True)
class Term:
    text: str
    binding: Binding = Binding.ATOM

    def within(self, binding: Binding) -> str:
        """As an operand of what binds as tightly as that."""
        return self.text if self.binding > binding else f"({self.text})"

    @property
    def positive(self) -> "Term":
        """A negated term without its sign."""
        return Term(self.text.removeprefix("-"), Binding.PRODUCT)


def number(value: float) -> Term:
    text = str(value) if isinstance(value, bool) else f"{value:.6g}"
    return Term(text, Binding.NEGATION if text.startswith("-") else Binding.ATOM)


def _join(left: Term, sign: str, right: Term) -> Term:
    # A sum of two sums keeps the brackets of both: (a - b) - (c - d) shows what belongs together.
    shown = left.within(Binding.SUM if right.binding is Binding.SUM else Binding.RELATION)
    return Term(f"{shown} {sign} {right.within(Binding.SUM)}", Binding.SUM)


def _add(left: Term, right: Term) -> Term:
    return _join(left, _MINUS, right.positive) if right.binding is Binding.NEGATION else _join(left, "+", right)


def _subtract(left: Term, right: Term) -> Term:
    return _join(left, "+", right.positive) if right.binding is Binding.NEGATION else _join(left, _MINUS, right)


def _multiply(left: Term, right: Term) -> Term:
    if left.binding is Binding.NEGATION:
        return _negate(_multiply(left.positive, right))
    if right.binding is Binding.NEGATION:
        return _negate(_multiply(left, right.positive))
    if right.text == "1":
        return left
    if right.text[0].isdigit():
        left, right = right, left
    return Term(f"{left.within(Binding.NEGATION)}{_DOT}{right.within(Binding.NEGATION)}", Binding.PRODUCT)


def _divide(left: Term, right: Term) -> Term:
    if left.binding is Binding.NEGATION:
        return _negate(_divide(left.positive, right))
    return Term(f"{left.within(Binding.NEGATION)}/{right.within(Binding.PRODUCT)}", Binding.PRODUCT)


def _negate(term: Term) -> Term:
    if term.binding is Binding.NEGATION:
        return term.positive
    return Term(f"-{term.within(Binding.NEGATION)}", Binding.NEGATION)


def _raise(base: Term, exponent: Term) -> Term:
    power = _RAISED.get(exponent.text, "^" + exponent.within(Binding.POWER))
    return Term(base.within(Binding.POWER) + power, Binding.POWER)


def _relation(sign: str) -> Callable[[Term, Term], Term]:
    def relate(left: Term, right: Term) -> Term:
        return Term(f"{left.within(Binding.RELATION)} {sign} {right.within(Binding.RELATION)}", Binding.RELATION)

    return relate


def apply(name: str, *terms: Term) -> Term:
    return Term(f"{name}({', '.join(each.text for each in terms)})")


def hold(term: Term) -> Term:
    """Without a gradient."""
    return term if term.text.startswith("sg(") and term.binding is Binding.ATOM else apply("sg", term)


def _as_number(term: Term) -> Term:
    return Term(f"[{term.text}]") if term.binding is Binding.RELATION else term


def _choose(condition: Term, then: Term, otherwise: Term) -> Term:
    return Term(f"({then.text} if {condition.text} else {otherwise.text})")


_ZERO, _ONE, _TWO = Term("0"), Term("1"), Term("2")
_PAIR = ("self", "other")

NOTATION: Mapping[tuple[str, tuple[str, ...]], Callable[..., Term]] = {
    ("add", _PAIR): _add,
    ("sub", _PAIR): _subtract,
    ("rsub", _PAIR): lambda left, right: _subtract(right, left),
    ("mul", _PAIR): _multiply,
    ("div", _PAIR): _divide,
    ("neg", ("self",)): _negate,
    ("abs", ("self",)): lambda term: Term(f"|{term.text}|"),
    ("reciprocal", ("self",)): lambda term: _divide(_ONE, term),
    ("pow", ("self", "exponent")): _raise,
    ("square", ("self",)): lambda term: _raise(term, _TWO),
    ("sigmoid", ("self",)): lambda term: apply(_SIGMA, term),
    ("log_sigmoid", ("self",)): lambda term: Term(f"log {_SIGMA}({term.text})", Binding.APPLICATION),
    ("softplus", ("self",)): lambda term: apply("log", _add(_ONE, apply("exp", term))),
    ("log1p", ("self",)): lambda term: apply("log", _add(_ONE, term)),
    ("expm1", ("self",)): lambda term: _subtract(apply("exp", term), _ONE),
    ("relu", ("self",)): lambda term: apply("max", _ZERO, term),
    ("clamp", ("self", "min")): lambda term, low: apply("max", low, term),
    ("clamp", ("self", "max")): lambda term, high: apply("min", high, term),
    ("clamp", ("self", "min", "max")): lambda term, low, high: apply("clamp", term, low, high),
    ("clamp_min", ("self", "min")): lambda term, low: apply("max", low, term),
    ("clamp_max", ("self", "max")): lambda term, high: apply("min", high, term),
    ("maximum", _PAIR): lambda left, right: apply("max", left, right),
    ("minimum", _PAIR): lambda left, right: apply("min", left, right),
    ("eq", _PAIR): _relation("="),
    ("ne", _PAIR): _relation("\N{NOT EQUAL TO}"),
    ("lt", _PAIR): _relation("<"),
    ("le", _PAIR): _relation("\N{LESS-THAN OR EQUAL TO}"),
    ("gt", _PAIR): _relation(">"),
    ("ge", _PAIR): _relation("\N{GREATER-THAN OR EQUAL TO}"),
    ("where", ("condition", "self", "other")): _choose,
    ("detach", ("self",)): hold,
    ("to", ("self", "dtype")): lambda term, _dtype: _as_number(term),
    ("type_as", _PAIR): lambda term, _other: _as_number(term),
    ("ones_like", ("self",)): lambda _term: _ONE,
    ("zeros_like", ("self",)): lambda _term: _ZERO,
    ("full_like", ("self", "fill_value")): lambda _term, value: value,
    **{(name, ("self",)): lambda term: term for name in ("clone", "alias", "contiguous", "lift_fresh_copy")},
}
"""How an operation of that name, given just these arguments, is written; any other is a function of its arguments."""

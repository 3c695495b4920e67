"""Keeps an arm of a choice by a scalar away from the numbers that its condition rules out.

Python computes one arm, a graph both: in `rho / progress if progress > 0 else rho` the first is infinite at progress 0,
and `where` multiplies its gradient by zero, which is not a number. So inside an arm the numbers that the condition is
about are replaced by a harmless one where the arm is not taken.

Covered: names of the condition in quotients, remainders, powers, roots and logarithms. Not covered: other names that
were made from those numbers before the choice.
"""

import ast
from collections.abc import Iterable, Iterator

import torch

from workers.jail.values import Scalar, Scope

_HARMLESS = 0.71875
"""In the range of progress, of beta and of most rates, and no number that a source is likely to take it from."""
_OPERATORS = (ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_WORDS = "div divide fmod log log10 log1p log2 logit pow reciprocal remainder rsqrt sqrt"
_FUNCTIONS = frozenset(_WORDS.split())


def enter_arm(test: ast.expr, arm: Iterable[ast.AST], condition: Scalar, scope: Scope, *, is_body: bool) -> Scope:
    """A copy of the names, in which those that may end the arm badly are harmless where it is not taken."""
    inner = scope.fork()
    for name in {each.id for each in ast.walk(test) if isinstance(each, ast.Name)} & set(_find_at_risk(arm)):
        value = _find(name, scope)
        if isinstance(value, Scalar) and not value.is_bool:
            harmless = torch.full_like(value.tensor, _HARMLESS)
            pair = (value.tensor, harmless) if is_body else (harmless, value.tensor)
            inner.names[name] = Scalar(torch.where(condition.condition(), *pair), value.integers)
    return inner


def _find_at_risk(arm: Iterable[ast.AST]) -> Iterator[str]:
    for part in arm:
        for node in ast.walk(part):
            if _may_end_badly(node):
                yield from (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _may_end_badly(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, _OPERATORS)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _FUNCTIONS


def _find(name: str, scope: Scope | None) -> object:
    while scope is not None:
        if name in scope.names:
            return scope.names[name]
        scope = scope.parent
    return None

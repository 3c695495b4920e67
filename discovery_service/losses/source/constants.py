"""Numbers in a source, and what can be computed from them without running anything."""

import ast
import math
import operator
from collections.abc import Callable, Mapping

from discovery_service.losses.vocabulary import MATH_FUNCTIONS, MATH_VALUES

MAX_INTEGER = 10**6
MAX_FLOAT = 1e30
_MAX_EXPONENT = 64
_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def is_literal(node: ast.expr) -> bool:
    """Whether it is written in numbers, operators and names of `math` alone."""
    match node:
        case ast.Constant(value=bool()):
            return False
        case ast.Constant(value=int() | float()):
            return True
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return is_literal(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return type(op) in _BINARY and is_literal(left) and is_literal(right)
        case ast.Attribute(value=ast.Name(id="math"), attr=attr):
            return attr in MATH_VALUES
        case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr=attr), args=args, keywords=[]):
            return attr in MATH_FUNCTIONS and all(is_literal(each) for each in args)
    return False


def find_number(node: ast.expr) -> float | int | None:
    """Its value, where that is a finite number within bounds."""
    if not is_literal(node):
        return None
    try:
        value = _compute(node)
    except (ArithmeticError, ValueError, TypeError):
        return None
    return value if is_within_bounds(value) else None


def is_within_bounds(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) <= MAX_INTEGER
    return isinstance(value, float) and math.isfinite(value) and abs(value) <= MAX_FLOAT


def _compute(node: ast.expr) -> float | int:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=op, operand=operand):
            return -_compute(operand) if isinstance(op, ast.USub) else _compute(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _apply(type(op), _compute(left), _compute(right))
        case ast.Attribute(attr=attr):
            return float(getattr(math, attr))
        case ast.Call(func=ast.Attribute(attr=attr), args=args):
            result: float = getattr(math, attr)(*(_compute(each) for each in args))
            return result
    raise ValueError("no number")


def _apply(op: type[ast.operator], left: float, right: float) -> float:
    """Integers stay small on the way, so that no power or product takes long."""
    if op is ast.Pow and abs(right) > _MAX_EXPONENT:
        raise OverflowError
    value = _BINARY[op](left, right)
    if isinstance(value, int) and abs(value) > 10**30:
        raise OverflowError
    return value

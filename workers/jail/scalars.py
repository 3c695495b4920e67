"""Python's arithmetic on numbers that are known only when the graph runs, done on 0-dimensional float64 tensors.

Covered: operators, comparisons, `math`, float(), int(), min() and the like, the choice between two values; in float64
all are what Python computes, up to the last bits. Not covered: Python's exceptions; 1 / 0 is infinite in the graph, and
the comparison with the executed source finds it.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import SymBool, SymFloat, SymInt, Tensor

from discovery_service.losses.refusals import RefusalCode, refuse
from workers.jail.values import Scalar

Number: TypeAlias = bool | int | float | SymInt | SymFloat
NUMBERS = (bool, int, float, SymInt, SymFloat)
SIZES = (SymInt, SymFloat)

BINARY: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.Pow: operator.pow,
        ast.MatMult: operator.matmul,
        ast.BitAnd: operator.and_,
        ast.BitOr: operator.or_,
        ast.BitXor: operator.xor,
    }
)
UNARY: Mapping[type[ast.AST], Callable[[Any], Any]] = MappingProxyType(
    {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert}
)
COMPARISONS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
    }
)
_LOGICAL = (ast.BitAnd, ast.BitOr, ast.BitXor)

_ELEMENTARY = """
    acos asin atan atan2 ceil copysign cos cosh erf erfc exp expm1 floor hypot isfinite isnan log10 log1p log2 pow sin
    sinh sqrt tan tanh
"""
MATH: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        **{name: getattr(torch, name) for name in _ELEMENTARY.split()},
        "fabs": torch.abs,
        "log": lambda x, base=None: torch.log(x) if base is None else torch.log(x) / torch.log(base),
    }
)


def constant(value: Number) -> Tensor:
    """The 0-dimensional tensor of a Python number."""
    if isinstance(value, SIZES):
        # As a fill value it would be fixed at the size of the recording.
        size: Any = value
        product: Tensor = torch.ones((), dtype=torch.float64) * size
        return product
    return torch.full((), value, dtype=torch.bool if isinstance(value, bool) else torch.float64)


def numeric(value: Scalar | Number) -> Tensor:
    if isinstance(value, Scalar):
        return value.numeric()
    return constant(float(value) if isinstance(value, bool) else value)


def origins(*values: Any) -> frozenset[str]:
    return frozenset().union(*(each.integers for each in values if isinstance(each, Scalar)))


def operand(value: Scalar | Number) -> Tensor | Number:
    return value.numeric() if isinstance(value, Scalar) else value


def operate(symbol: type[ast.AST], left: Any, right: Any) -> Scalar:
    """One of them is a Scalar."""
    if symbol is ast.MatMult or (symbol in _LOGICAL and not (_is_bool(left) and _is_bool(right))):
        raise refuse(RefusalCode.WRONG_ARGUMENT, "This operator does not work on Python numbers: use +, -, *, / or **.")
    if symbol in _LOGICAL:
        return Scalar(BINARY[symbol](_bit(left), _bit(right)), origins(left, right))
    return Scalar(BINARY[symbol](operand(left), operand(right)), origins(left, right))


def _is_bool(value: Scalar | Number) -> bool:
    return value.is_bool if isinstance(value, Scalar) else isinstance(value, bool)


def _bit(value: Scalar | Number) -> Tensor | Number:
    return value.tensor if isinstance(value, Scalar) else value


def compare(symbol: type[ast.AST], left: Scalar | Number, right: Scalar | Number) -> Scalar:
    return Scalar(COMPARISONS[symbol](operand(left), operand(right)), origins(left, right))


def compute(name: str, arguments: list[Scalar | Number]) -> Scalar:
    """A function of math."""
    return Scalar(MATH[name](*map(numeric, arguments)), origins(*arguments))


def lesser(left: Scalar | Number, right: Scalar | Number) -> Scalar | Number:
    return _extreme(left, right, torch.clamp_max, torch.minimum, torch.sym_min, min)


def greater(left: Scalar | Number, right: Scalar | Number) -> Scalar | Number:
    return _extreme(left, right, torch.clamp_min, torch.maximum, torch.sym_max, max)


def _extreme(
    left: Scalar | Number,
    right: Scalar | Number,
    bound: Callable[..., Tensor],
    both: Callable[..., Tensor],
    *of_numbers: Callable[..., Any],
) -> Scalar | Number:
    of_sizes, plain = of_numbers
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return Scalar(both(left.numeric(), right.numeric()), origins(left, right))
    if isinstance(left, Scalar) or isinstance(right, Scalar):
        scalar, number = (left, right) if isinstance(left, Scalar) else (right, left)
        assert isinstance(scalar, Scalar)
        if isinstance(number, SIZES):
            return Scalar(both(scalar.numeric(), constant(number)), scalar.integers)
        return Scalar(bound(scalar.numeric(), number), scalar.integers)
    if isinstance(left, SIZES) or isinstance(right, SIZES):
        return of_sizes(left, right)
    return plain(left, right)


def choose(condition: Tensor, first: Any, second: Any) -> Any:
    """What `first if condition else second` is, for a condition that is known only when the graph runs."""
    if first is second or (type(first) is type(second) and isinstance(first, int | float) and first == second):
        return first
    numbers = (Scalar, *NUMBERS)
    if isinstance(first, numbers) and isinstance(second, numbers):
        return _choose_number(condition, first, second)
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        return _choose_tensor(condition, first, second)
    if type(first) is type(second) and isinstance(first, tuple | list) and len(first) == len(second):
        return type(first)(choose(condition, *pair) for pair in zip(first, second, strict=True))
    raise refuse(
        RefusalCode.BRANCH_ON_SCALAR,
        "What depends on beta, progress or a hyper-parameter must be a number or a tensor in both cases.",
    )


def _choose_number(condition: Tensor, first: Scalar | Number, second: Scalar | Number) -> Scalar:
    if _is_bool(first) and _is_bool(second):
        one, other = (each.tensor if isinstance(each, Scalar) else constant(each) for each in (first, second))
    else:
        one, other = numeric(first), numeric(second)
    return Scalar(torch.where(condition, one, other), origins(first, second))


def _choose_tensor(condition: Tensor, first: Any, second: Any) -> Tensor:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        if first.dim() != second.dim() or first.dtype != second.dtype or first.shape != second.shape:
            raise refuse(
                RefusalCode.BRANCH_ON_SCALAR,
                "Both cases of a choice by beta, progress or a hyper-parameter must be tensors of one shape and type.",
            )
        return torch.where(condition, first, second)
    tensor, number = (first, second) if isinstance(first, Tensor) else (second, first)
    if not isinstance(number, (Scalar, *NUMBERS)):
        raise refuse(
            RefusalCode.BRANCH_ON_SCALAR, "A choice by beta, progress or a hyper-parameter lacks a number or tensor."
        )
    near = beside(number, tensor)
    return torch.where(condition, tensor, near) if tensor is first else torch.where(condition, near, tensor)


def beside(value: Any, tensor: Tensor) -> Any:
    """A number as PyTorch takes a Python number next to this tensor: it never changes a float tensor's type."""
    if not isinstance(value, Scalar) or value.is_bool:
        return value.tensor if isinstance(value, Scalar) else value
    if not tensor.is_floating_point():
        return value.tensor.to(torch.get_default_dtype())
    if tensor.dim() or tensor.dtype is torch.float64:
        return value.tensor
    return value.tensor.to(tensor.dtype)


def is_number(value: Any) -> bool:
    return isinstance(value, NUMBERS)


def is_truth(value: Any) -> bool:
    """Python itself can say whether it holds."""
    return value is None or isinstance(value, (*NUMBERS, SymBool, tuple, list))

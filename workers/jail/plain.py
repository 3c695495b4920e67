"""Operators, indices and arguments on plain Python values, each bounded."""

import ast
import math
from typing import Any

import torch
from torch import SymInt, Tensor

from discovery_service.losses.refusals import RefusalCode, refuse
from workers.jail import scalars
from workers.jail.scalars import BINARY, SIZES, constant
from workers.jail.values import UNASSIGNED, Function, Scalar, need_number

MAX_ITEMS = 256
MAX_NESTED = 1_024
"""Of a tuple or list with all that is in it; one that holds another many times counts it as often."""
MAX_INTEGER = 1 << 53
MAX_BASE = 1_000_000
MAX_EXPONENT = 64
MAX_SIZE_POWER = 4


def check_items(*values: Any) -> None:
    """Before anything goes through all of what tuples and lists hold."""
    todo, left = list(values), MAX_NESTED + len(values)
    while todo:
        value = todo.pop()
        left -= 1
        if left < 0:
            raise refuse(
                RefusalCode.TOO_MANY_STEPS,
                f"A list or tuple holds more than {MAX_NESTED} items, with those that are in others: use tensors.",
            )
        if isinstance(value, tuple | list):
            todo += value


def operate_on_numbers(symbol: type[ast.operator], left: Any, right: Any) -> Any:
    if isinstance(left, SIZES) or isinstance(right, SIZES):
        return _operate_on_sizes(symbol, left, right)
    integers = isinstance(left, int) and isinstance(right, int)
    if symbol is ast.Pow and integers and (abs(left) > MAX_BASE or right > MAX_EXPONENT):
        raise refuse(RefusalCode.NUMBER_TOO_LARGE, "An integer power is too large: write floats, as in 2.0 ** 80.")
    result = BINARY[symbol](left, right)
    if isinstance(result, complex) or (isinstance(result, int) and abs(result) > MAX_INTEGER):
        raise refuse(RefusalCode.NUMBER_TOO_LARGE, "A number becomes too large or complex: use floats.")
    return result


def _operate_on_sizes(symbol: type[ast.operator], left: Any, right: Any) -> Any:
    """A graph knows no power of a size: a small whole one is a product, any other one a number of the graph."""
    if symbol is ast.Pow:
        if isinstance(left, SymInt) and type(right) is int and 1 <= right <= MAX_SIZE_POWER:
            return math.prod([left] * right, start=1)
        return scalars.operate(symbol, Scalar(constant(left)), Scalar(constant(right)))
    result = BINARY[symbol](left, right)
    # What it is for the sizes of the recording.
    hint = result.node.hint if isinstance(result, SymInt) else 0
    if isinstance(hint, int) and abs(hint) > MAX_INTEGER:
        raise refuse(RefusalCode.NUMBER_TOO_LARGE, "A number made of a size becomes too large: divide, or use floats.")
    return result


def operate_on_lists(symbol: type[ast.operator], left: Any, right: Any) -> Any:
    joined = symbol is ast.Add and type(left) is type(right) and isinstance(left, tuple | list)
    if joined and len(left) + len(right) <= MAX_ITEMS:
        return left + right
    pair = (left, right) if isinstance(left, tuple | list) else (right, left)
    repeated = symbol is ast.Mult and isinstance(pair[0], tuple | list) and type(pair[1]) is int
    if repeated and len(pair[0]) * pair[1] <= MAX_ITEMS:
        return pair[0] * pair[1]
    raise refuse(RefusalCode.WRONG_ARGUMENT, "This operator takes numbers and tensors.")


def position(value: Any) -> Any:
    """An index or a bound of a slice."""
    if isinstance(value, Scalar):
        need_number(value, RefusalCode.WRONG_ARGUMENT, "An index is an integer that is written in the source.")
    if isinstance(value, slice) or value is None or (isinstance(value, int | SymInt) and not isinstance(value, bool)):
        return value
    if isinstance(value, Tensor):
        raise refuse(RefusalCode.TENSOR_TO_NUMBER, "An index is an integer: use torch.gather to take by a tensor.")
    raise refuse(RefusalCode.WRONG_ARGUMENT, "An index is an integer that is written in the source.")


def part(tensor: Tensor, index: Any) -> Any:
    parts = index if isinstance(index, tuple) else (index,)
    for each in parts:
        if isinstance(each, Tensor) and each.dtype is torch.bool:
            raise refuse(
                RefusalCode.DATA_DEPENDENT_SHAPE,
                "A mask as an index gives a size that depends on the data: use torch.where or multiply by the mask.",
            )
    if len(parts) == 1 and isinstance(parts[0], Tensor) and parts[0].dim() == 1:
        return torch.index_select(tensor, 0, parts[0])
    return tensor[tuple(each if each is Ellipsis else position(each) for each in parts)]


def bind_arguments(function: Function, arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    takes = function.node.args
    positional = [each.arg for each in (*takes.posonlyargs, *takes.args)]
    keyword_only = [each.arg for each in takes.kwonlyargs]
    bound = dict(zip(positional[len(positional) - len(function.defaults) :], function.defaults, strict=True))
    bound.update(zip(keyword_only, function.keyword_defaults, strict=True))
    given = dict(zip(positional, arguments, strict=False))
    wrong = set(keywords) & set(given) or set(keywords) - {*positional, *keyword_only}
    bound.update(given, **keywords)
    lacking = [name for name in (*positional, *keyword_only) if bound.get(name, UNASSIGNED) is UNASSIGNED]
    if wrong or lacking or len(arguments) > len(positional) or takes.vararg or takes.kwarg:
        names = ", ".join((*positional, *keyword_only))
        raise refuse(RefusalCode.WRONG_ARGUMENT, f"{function.name} takes ({names}), each once.")
    return bound

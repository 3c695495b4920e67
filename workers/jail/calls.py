"""Calls of what is not written in the source: functions of torch, methods of tensors, math, Python's builtins."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import SymBool, SymFloat, SymInt, Tensor

from discovery_service.losses.refusals import RefusalCode, refuse
from workers.jail import scalars
from workers.jail.lowering import METHOD_ROWS, ROWS
from workers.jail.names import MATH, canonical
from workers.jail.scalars import NUMBERS, SIZES, is_number
from workers.jail.values import Mathematics, Operation, Scalar, find_scalar, need_number

MAX_LOOP = 64
TO_NUMBER = "A tensor cannot become a Python number: keep it a tensor, or take its mean() or sum() as one."
BRANCH = (
    "Python cannot branch on the values of a tensor (if, and, or, not, min, max, bool):"
    " use torch.where(condition, a, b), torch.maximum, torch.minimum or torch.clamp."
)
OVER_ROWS = "Python cannot loop over the rows of a batch: compute on whole tensors, as in torch.where or sum(dim=0)."
_ARGUMENTS = (Tensor, *NUMBERS, Scalar, SymBool, str, torch.dtype, torch.device, type(None))


def call_operation(operation: Operation, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if operation.bound is not None:
        arguments = [operation.bound, *arguments]
    _check_arguments([*arguments, *keywords.values()])
    scalar = find_scalar([*arguments, *keywords.values()])
    if scalar is None:
        return _call_plainly(operation, arguments, keywords)
    name = canonical(operation.name)
    row = ROWS.get(name)
    if operation.bound is not None:
        row = METHOD_ROWS.get(name, row)
    if row is None:
        return need_number(scalar, RefusalCode.WRONG_ARGUMENT, _takes_no_number(operation))
    try:
        return row(*arguments, **keywords)
    except (TypeError, AttributeError):
        # A number where the row, as PyTorch, wants a tensor, a size or a dimension.
        return need_number(scalar, RefusalCode.WRONG_ARGUMENT, _takes_no_number(operation))


def _call_plainly(operation: Operation, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if operation.name in {"tensor", "scalar_tensor", "new_tensor"}:
        data = arguments[1:] if operation.bound is not None else arguments
        if any(_holds(each, Tensor) for each in data):
            raise refuse(
                RefusalCode.TENSOR_TO_NUMBER, "torch.tensor() takes Python numbers: use torch.stack() to join tensors."
            )
        if any(_holds(each, SIZES) for each in data):
            return ROWS[operation.name](*arguments, **keywords)
    return operation.function(*arguments, **keywords)


def _holds(value: Any, kinds: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_holds(each, kinds) for each in value)
    return isinstance(value, kinds)


def _check_arguments(values: list[Any]) -> None:
    for value in values:
        if isinstance(value, tuple | list):
            _check_arguments(list(value))
        elif not isinstance(value, _ARGUMENTS):
            raise refuse(RefusalCode.WRONG_ARGUMENT, "Only tensors and numbers can be arguments here.")


def _takes_no_number(operation: Operation) -> str:
    instead = f"math.{operation.name}() for a number" if operation.name in MATH else "min(), max() and math for numbers"
    return (
        f"{operation.title} cannot take beta, progress or a hyper-parameter in this place, since they are Python"
        f" numbers, and other ones in other runs: use {instead}, or torch.tensor(x) to make a tensor of one."
    )


def call_math(function: Mathematics, arguments: list[Any]) -> Any:
    if any(isinstance(each, Tensor) for each in arguments):
        raise refuse(
            RefusalCode.TENSOR_TO_NUMBER,
            f"math.{function.name}() takes a Python number and not a tensor: use the function of torch.",
        )
    if not all(isinstance(each, (Scalar, *NUMBERS)) for each in arguments):
        raise refuse(RefusalCode.WRONG_ARGUMENT, f"math.{function.name}() takes numbers.")
    if not any(isinstance(each, (Scalar, *SIZES)) for each in arguments):
        return MATH[function.name](*arguments)
    if function.name not in scalars.MATH:
        raise refuse(
            RefusalCode.WRONG_ARGUMENT,
            f"math.{function.name}() takes numbers that are written in the source, not beta or a hyper-parameter.",
        )
    return scalars.compute(function.name, arguments)


def call_builtin(name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if keywords and (name, set(keywords)) not in (("enumerate", {"start"}), ("sum", {"start"}), ("zip", {"strict"})):
        raise refuse(RefusalCode.WRONG_ARGUMENT, f"{name}() is to be called without keywords.")
    if name == "zip":
        keywords = {}
    return _BUILTINS[name](*arguments, *keywords.values())


def _abs(value: Any) -> Any:
    return Scalar(torch.abs(value.numeric()), value.integers) if isinstance(value, Scalar) else abs(value)


def _float(value: Any = 0.0) -> Any:
    if isinstance(value, Tensor):
        raise refuse(RefusalCode.TENSOR_TO_NUMBER, TO_NUMBER)
    if isinstance(value, Scalar):
        return Scalar(value.numeric(), value.integers)
    if isinstance(value, SIZES):
        return torch.sym_float(value)
    return float(_number(value))


def _int(value: Any = 0) -> Any:
    if isinstance(value, Tensor):
        raise refuse(RefusalCode.TENSOR_TO_NUMBER, TO_NUMBER)
    if isinstance(value, Scalar):
        return Scalar(torch.trunc(value.numeric()), value.integers)
    if isinstance(value, SymInt):
        return value
    return int(_number(value))


def _number(value: Any) -> Any:
    if isinstance(value, SymFloat) or not is_number(value):
        raise refuse(RefusalCode.WRONG_ARGUMENT, "float() and int() take a number.")
    return value


def _bool(value: Any = False) -> Any:
    if isinstance(value, Tensor):
        raise refuse(RefusalCode.BRANCH_ON_TENSOR, BRANCH)
    return Scalar(value.condition(), value.integers) if isinstance(value, Scalar) else bool(value)


def _round(value: Any, digits: int | None = None) -> Any:
    if isinstance(value, Scalar) and digits is None:
        return Scalar(torch.round(value.numeric()), value.integers)
    if isinstance(value, Tensor):
        return torch.round(value) if digits is None else torch.round(value, decimals=digits)
    if isinstance(value, (Scalar, *SIZES)):
        raise refuse(RefusalCode.WRONG_ARGUMENT, "round() of beta or a hyper-parameter takes no number of digits.")
    return round(value, digits)


def _len(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape[0]
    if isinstance(value, tuple | list):
        return len(value)
    raise refuse(RefusalCode.WRONG_ARGUMENT, "len() takes a tensor, a list or a tuple.")


def items(value: Any) -> list[Any]:
    """What a loop, sum() or an assignment to several names goes through."""
    if isinstance(value, Tensor):
        if not value.dim() or not isinstance(value.shape[0], int):
            raise refuse(RefusalCode.BRANCH_ON_BATCH_SIZE, OVER_ROWS)
        value = value.unbind(0)
    if not isinstance(value, tuple | list):
        raise refuse(RefusalCode.WRONG_ARGUMENT, "Python can only go through a range, a list or a tuple.")
    if len(value) > MAX_LOOP:
        raise refuse(RefusalCode.LOOP_TOO_LONG, f"A loop may have {MAX_LOOP} turns: use fewer, or compute on tensors.")
    return list(value)


def _extreme(choose: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def extreme(*values: Any) -> Any:
        every = items(values[0]) if len(values) == 1 else list(values)
        if any(isinstance(each, Tensor) for each in every):
            raise refuse(RefusalCode.BRANCH_ON_TENSOR, BRANCH)
        if not every or not all(isinstance(each, (Scalar, *NUMBERS)) for each in every):
            raise refuse(RefusalCode.WRONG_ARGUMENT, "min() and max() take numbers.")
        result = every[0]
        for each in every[1:]:
            result = choose(result, each)
        return result

    return extreme


def _range(*bounds: Any) -> list[int]:
    for each in bounds:
        if isinstance(each, Scalar):
            need_number(each, RefusalCode.WRONG_ARGUMENT, "range() takes integers that are written in the source.")
        if isinstance(each, SymInt | Tensor):
            raise refuse(RefusalCode.BRANCH_ON_BATCH_SIZE, OVER_ROWS)
        if not isinstance(each, int):
            raise refuse(RefusalCode.WRONG_ARGUMENT, "range() takes integers that are written in the source.")
    turns = range(*bounds)
    if len(turns) > MAX_LOOP:
        raise refuse(RefusalCode.LOOP_TOO_LONG, f"A loop may have {MAX_LOOP} turns: use fewer, or compute on tensors.")
    return list(turns)


def _zip(*values: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(items(each) for each in values), strict=False))


def _enumerate(values: Any, start: int = 0) -> list[tuple[int, Any]]:
    return list(enumerate(items(values), start))


_BUILTINS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "abs": _abs,
        "bool": _bool,
        "enumerate": _enumerate,
        "float": _float,
        "int": _int,
        "len": _len,
        "list": lambda values=(): items(values),
        "max": _extreme(scalars.greater),
        "min": _extreme(scalars.lesser),
        "range": _range,
        "round": _round,
        "tuple": lambda values=(): tuple(items(values)),
        "zip": _zip,
    }
)
"""Without sum(), which adds as the operator of the source does."""

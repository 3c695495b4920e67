"""What a dot leads to: a member of torch, F or math by its full name, or one of few properties of a value."""

import ast
from typing import Any

import torch
from torch import Tensor

from discovery_service.losses.refusals import RefusalCode, Refused, refuse
from workers.jail.calls import TO_NUMBER
from workers.jail.names import FUNCTIONAL, MATH, MATH_VALUES, METHODS, MODULES, TORCH, TORCH_VALUES
from workers.jail.values import Append, Mathematics, Operation, Scalar

_FINFO = ("eps", "max", "min", "tiny")
_RESULTS = ("values", "indices", "min", "max")


def find_attribute(node: ast.Attribute) -> Any:
    """The member of a library, or None where the dot follows a value."""
    path: list[str] = []
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        path.insert(0, value.attr)
        value = value.value
    if not isinstance(value, ast.Name) or value.id not in ("torch", "F", "math"):
        return None
    return _find_member(value.id, path)


def _find_member(library: str, path: list[str]) -> Any:
    if library == "torch" and path[:2] == ["nn", "functional"]:
        library, path = "F", path[2:]
    title, name = ".".join((library, *path)), path[-1] if path else ""
    table: Any = {"torch": TORCH, "F": FUNCTIONAL}.get(library, {}) if len(path) == 1 else {}
    if library == "torch" and len(path) == 2:
        table = MODULES.get(path[0], {})
    if name in table:
        return Operation(name, f"{title}()", table[name])
    if library == "math" and len(path) == 1 and name in MATH:
        return Mathematics(name)
    values: Any = {"torch": TORCH_VALUES, "math": MATH_VALUES}.get(library, {}) if len(path) == 1 else {}
    if name in values:
        return values[name]
    raise refuse(RefusalCode.FORBIDDEN_NAME, f"{title} is no part of the loss language.")


def look_into(value: Any, name: str) -> Any:
    if isinstance(value, Tensor):
        return _of_tensor(value, name)
    if isinstance(value, torch.finfo) and name in _FINFO:
        return {"eps": value.eps, "max": value.max, "min": value.min, "tiny": value.tiny}[name]
    if isinstance(value, list) and name == "append":
        return Append(value)
    if type(value).__module__ == "torch.return_types" and name in _RESULTS:
        return _of_result(value, name)
    if isinstance(value, Scalar):
        raise refuse(
            RefusalCode.WRONG_ARGUMENT,
            f"beta, progress and hyper-parameters are Python numbers without .{name}: use min(), max() and math.",
        )
    raise _unknown(name)


def _of_tensor(tensor: Tensor, name: str) -> Any:
    if name in METHODS:
        return Operation(name, f".{name}()", METHODS[name], tensor)
    match name:
        case "dtype":
            return tensor.dtype
        case "device":
            return tensor.device
        case "shape":
            return tuple(tensor.shape)
        case "ndim":
            return tensor.dim()
        case "T":
            return tensor.t()
        case "mT":
            return tensor.transpose(-2, -1)
        case "item" | "tolist" | "numpy":
            raise refuse(RefusalCode.TENSOR_TO_NUMBER, TO_NUMBER)
    raise _unknown(name)


def _of_result(value: Any, name: str) -> Any:
    """Of what sort, topk, min and the like return."""
    fields = ("min", "max") if name in ("min", "max") else ("values", "indices")
    if len(value) != len(fields):
        raise _unknown(name)
    return value[fields.index(name)]


def _unknown(name: str) -> Refused:
    return refuse(RefusalCode.FORBIDDEN_NAME, f".{name} is no part of the loss language here.")

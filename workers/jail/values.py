"""What a name can stand for while a source is interpreted, beside tensors and Python's own numbers and tuples."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor

from discovery_service.losses.refusals import RefusalCode, Refused, refuse

UNASSIGNED = object()
"""A name, or a parameter, without a value."""


@dataclass(frozen=True, eq=False)
class Scalar:
    """A Python number or bool that is known only when the graph runs: beta, a hyper-parameter, what follows of them."""

    tensor: Tensor
    """0-dimensional: float64, or bool after a comparison."""
    integers: frozenset[str] = frozenset()
    """The hyper-parameters with an integer default that it was made from."""

    @property
    def is_bool(self) -> bool:
        return self.tensor.dtype is torch.bool

    def numeric(self) -> Tensor:
        return self.tensor.to(torch.float64) if self.is_bool else self.tensor

    def condition(self) -> Tensor:
        return self.tensor if self.is_bool else self.tensor != 0


@dataclass(frozen=True, eq=False)
class Operation:
    """A function of torch, of its functional module or a method of tensors, under the name that the source knows."""

    name: str
    title: str
    function: Callable[..., Any]
    bound: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Mathematics:
    """A function of the math module."""

    name: str


@dataclass(frozen=True, eq=False)
class Builtin:
    name: str


@dataclass(frozen=True, eq=False)
class Append:
    """The method of one list."""

    items: list[Any]


@dataclass(eq=False)
class Scope:
    """The names of one function call, or of the module."""

    names: dict[str, Any] = field(default_factory=dict)
    parent: "Scope | None" = None
    assigned: set[str] = field(default_factory=set)
    """Since it was made or forked."""

    def assign(self, name: str, value: Any) -> None:
        self.names[name] = value
        self.assigned.add(name)

    def fork(self) -> "Scope":
        return Scope(dict(self.names), self.parent)


@dataclass(frozen=True, eq=False)
class Function:
    """A helper, or a lambda, of the source."""

    node: ast.FunctionDef | ast.Lambda
    scope: Scope
    defaults: tuple[Any, ...]
    keyword_defaults: tuple[Any, ...]

    @property
    def name(self) -> str:
        return self.node.name if isinstance(self.node, ast.FunctionDef) else "lambda"


class NumberNeeded(Exception):
    """The code needs a Python number where it has a scalar of the graph.

    With integer hyper-parameters among its origins the source is compiled again with those as plain integers; without,
    it is `refused`.
    """

    def __init__(self, integers: frozenset[str], refused: Refused) -> None:
        super().__init__(str(refused))
        self.integers = integers
        self.refused = refused


def need_number(scalar: Scalar, code: RefusalCode, message: str) -> NoReturn:
    refused = refuse(code, message)
    raise NumberNeeded(scalar.integers, refused) if scalar.integers else refused


def find_scalar(value: Any) -> Scalar | None:
    """The first one, in tuples and lists too."""
    if isinstance(value, Scalar):
        return value
    if isinstance(value, tuple | list):
        return next((found for each in value if (found := find_scalar(each)) is not None), None)
    return None

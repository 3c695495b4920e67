"""What the words of the loss language stand for here: functions of torch, methods of tensors, functions of math.

The interpreter looks names up in these tables and nowhere else; no attribute is ever found by an untrusted name.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from discovery_service.losses import vocabulary

_ALIASES = {
    "absolute": "abs",
    "arctan": "atan",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "multiply": "mul",
    "negative": "neg",
    "ndimension": "dim",
    "not_equal": "ne",
    "subtract": "sub",
    "swapaxes": "transpose",
    "true_divide": "div",
}
"""Other names of the same thing, so that one graph comes of both."""


def canonical(name: str) -> str:
    return _ALIASES.get(name, name)


def _table(names: Iterable[str], home: Any) -> Mapping[str, Any]:
    return MappingProxyType({name: getattr(home, canonical(name)) for name in names})


TORCH: Mapping[str, Callable[..., Any]] = _table(vocabulary.TORCH_FUNCTIONS, torch)
TORCH_VALUES = _table(vocabulary.TORCH_VALUES, torch)
FUNCTIONAL: Mapping[str, Callable[..., Any]] = _table(vocabulary.FUNCTIONAL, torch.nn.functional)
MODULES: Mapping[str, Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        # Where torch itself has a function of the name, torch.special's is that one under another name.
        module: {name: getattr(torch if hasattr(torch, name) else getattr(torch, module), name) for name in names}
        for module, names in vocabulary.TORCH_MODULES.items()
    }
)
METHODS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    # A graph knows the sizes of dimensions, and no other.
    {**_table(vocabulary.METHODS - {"append"}, Tensor), "numel": lambda tensor: math.prod(tensor.shape)}
)
MATH: Mapping[str, Callable[..., Any]] = _table(vocabulary.MATH_FUNCTIONS, math)
MATH_VALUES = _table(vocabulary.MATH_VALUES, math)
BUILTINS = vocabulary.BUILTINS

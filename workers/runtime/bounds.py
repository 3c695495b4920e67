"""What a graph may take: bounds on every intermediate, looked at on the meta device, and arithmetic on sizes."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from discovery_service.losses.arguments import DTYPES, MAX_OUTPUTS
from discovery_service.losses.graph import MAX_RANK
from discovery_service.losses.nodes import Node
from discovery_service.losses.refusals import RefusalCode, Refused, refuse

_MAX_VALUE = 1 << 40
_CROSS_ENTROPY = "aten.binary_cross_entropy_with_logits.default"
_ALLOWED = frozenset(getattr(torch, name) for name in DTYPES)
_SIZES: Mapping[str, Callable[..., Any]] = {
    "sym_size": lambda tensor, dim: tensor.shape[dim],
    "sym_neg": operator.neg,
    "sym_float": float,
    "sym_add": operator.add,
    "sym_sub": operator.sub,
    "sym_mul": operator.mul,
    "sym_floordiv": operator.floordiv,
    "sym_mod": operator.mod,
    "sym_truediv": operator.truediv,
    "sym_min": min,
    "sym_max": max,
}


class Bounds:
    """One run's account of what its intermediates hold."""

    def __init__(self, max_numel: int, max_total: int) -> None:
        self._max_numel, self._left = max_numel, max_total

    def check_call(self, node: Node, given: Sequence[Any]) -> None:
        """What the result does not show: how many parts there are, and what is broadcast before it is reduced."""
        if node.operation in _COUNT_PARTS and _COUNT_PARTS[node.operation](*given) > MAX_OUTPUTS:
            raise refuse(RefusalCode.TOO_MUCH_MEMORY, f"{node.operation} makes more than {MAX_OUTPUTS} parts.")
        if node.operation == _CROSS_ENTROPY and given[0].shape != given[1].shape:
            # PyTorch's own function refuses it; the operation takes it, and fails in the backward pass.
            raise refuse(RefusalCode.WRONG_ARGUMENT, f"{node.operation} is given a target of another shape.")
        shapes = {each.shape for each in given if isinstance(each, torch.Tensor) and each.dim()}
        if len(shapes) > 1:
            try:
                shape = torch.broadcast_shapes(*shapes)
            except RuntimeError:
                return  # matrix products and the like, whose results show what they take
            self._check_numel(node, shape.numel())

    def check_result(self, node: Node, result: Any) -> None:
        for each in result if isinstance(result, tuple | list) else (result,):
            if not isinstance(each, torch.Tensor):
                continue
            if each.dim() > MAX_RANK:
                raise refuse(
                    RefusalCode.WRONG_SHAPE, f"{node.operation} makes a tensor of more than {MAX_RANK} dimensions."
                )
            if each.dtype not in _ALLOWED:
                raise refuse(
                    RefusalCode.WRONG_DTYPE, f"{node.operation} makes a tensor of {each.dtype}: keep to float32."
                )
            self._check_numel(node, each.numel())
            self._left -= each.numel()
        if self._left < 0:
            raise refuse(RefusalCode.TOO_MUCH_MEMORY, "The intermediate tensors of the loss are too large together.")

    def _check_numel(self, node: Node, numel: int) -> None:
        if numel > self._max_numel:
            raise refuse(
                RefusalCode.TOO_MUCH_MEMORY,
                f"{node.operation} makes a tensor of {numel} elements, more than the {self._max_numel} allowed.",
            )


def compute_size(name: str) -> Callable[..., Any]:
    function = _SIZES[name]

    def compute(*given: Any) -> Any:
        value = function(*given)
        if abs(value) > _MAX_VALUE:
            raise _out_of_range(name)
        return value

    return compute


def _out_of_range(name: str) -> Refused:
    return refuse(RefusalCode.TOO_MUCH_MEMORY, f"{name} computes a size that is out of all range.")


def _count_split(tensor: torch.Tensor, size: int, dim: int = 0) -> int:
    return tensor.shape[dim] // max(size, 1)


_COUNT_PARTS: Mapping[str, Callable[..., int]] = {
    "aten.unbind.int": lambda tensor, dim=0: tensor.shape[dim],
    "aten.split.Tensor": _count_split,
    "aten.chunk.default": lambda _tensor, chunks, _dim=0: chunks,
}

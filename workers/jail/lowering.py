"""How operations that take a Python number are computed when the number is known only when the graph runs.

One row an operation, each with the operation's own parameters; numbers may be Scalars anywhere. A row computes, in
float32 rounding, what PyTorch computes for the Python number, and gives the same gradients, at kinks too. Where PyTorch
takes no number (torch.exp(beta), torch.maximum(z, beta)) there is no row, and the source is refused as Python would.

Covered: values and gradients with respect to tensors. Not covered: numbers that decide about shapes (sizes, dimensions,
counts); those have to be integers of the source.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own custom

from discovery_service.losses.refusals import RefusalCode, refuse
from workers.jail.scalars import NUMBERS, beside, constant, numeric
from workers.jail.values import Scalar

Row = Callable[..., Any]


def _with_tensor(function: Callable[..., Any]) -> Row:
    """For operations that take tensor or number alike: the number goes in as a 0-dimensional tensor."""

    def row(*arguments: Any, **keywords: Any) -> Any:
        every = [*arguments, *keywords.values()]
        tensor = next((each for each in every if isinstance(each, Tensor)), None)
        if tensor is None:
            raise TypeError("none of its arguments is a tensor")
        near = [beside(each, tensor) for each in arguments]
        return function(*near, **{name: beside(each, tensor) for name, each in keywords.items()})

    return row


def _first_is_tensor(function: Callable[..., Any]) -> Row:
    row = _with_tensor(function)

    def strict(tensor: Tensor, *arguments: Any, **keywords: Any) -> Any:
        if not isinstance(tensor, Tensor):
            raise TypeError("its first argument is no tensor")
        return row(tensor, *arguments, **keywords)

    return strict


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()


def _add(tensor: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    return _signed_sum(torch.add, tensor, other, alpha)


def _sub(tensor: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    return _signed_sum(torch.sub, tensor, other, alpha)


def _rsub(tensor: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    return _signed_sum(torch.sub, other, tensor, alpha)


def _signed_sum(function: Callable[..., Tensor], tensor: Any, other: Any, alpha: Any) -> Tensor:
    row = _with_tensor(function)
    if isinstance(alpha, Scalar):
        near = isinstance(other, Tensor)
        return row(tensor, other * beside(alpha, other) if near else Scalar(numeric(other) * alpha.numeric()))
    return row(tensor, other, alpha=alpha)


def _addcmul(tensor: Tensor, first: Tensor, second: Tensor, *, value: Any = 1) -> Tensor:
    return tensor + beside(value, first) * first * second


def _addcdiv(tensor: Tensor, first: Tensor, second: Tensor, *, value: Any = 1) -> Tensor:
    return tensor + beside(value, first) * (first / second)


def _lerp(start: Tensor, end: Tensor, weight: Any) -> Tensor:
    return torch.lerp(start, end, _as(start.dtype, weight))


def _quantile(tensor: Tensor, q: Any, *arguments: Any, **keywords: Any) -> Tensor:
    return torch.quantile(tensor, _as(tensor.dtype, q), *arguments, **keywords)


def _as(dtype: torch.dtype, value: Any) -> Any:
    return value.tensor.to(dtype) if isinstance(value, Scalar) else value


def _where(condition: Any, first: Any, second: Any) -> Tensor:
    if not isinstance(condition, Tensor):
        raise TypeError("its condition is no tensor")
    tensor = next((each for each in (first, second) if isinstance(each, Tensor)), None)
    if tensor is None:
        dtype = torch.get_default_dtype()
        first, second = _as(dtype, first), _as(dtype, second)
    else:
        first, second = beside(first, tensor), beside(second, tensor)
    return torch.where(condition, first, second)


def _method_where(tensor: Tensor, condition: Any, other: Any) -> Tensor:
    return _where(condition, tensor, other)


def _masked_fill(tensor: Tensor, mask: Tensor, value: Any) -> Tensor:
    return torch.where(mask, _as(tensor.dtype, value), tensor)


def _clamp(tensor: Tensor, min: Any = None, max: Any = None) -> Tensor:
    if min is not None:
        tensor = torch.clamp_min(tensor, beside(min, tensor))
    return tensor if max is None else torch.clamp_max(tensor, beside(max, tensor))


def _hardtanh(tensor: Tensor, min_val: Any = -1.0, max_val: Any = 1.0) -> Tensor:
    # Not clamp: at the bounds themselves the gradient is zero.
    low, high = beside(min_val, tensor), beside(max_val, tensor)
    return torch.where(tensor <= low, low, torch.where(tensor >= high, high, tensor))


def _threshold(tensor: Tensor, threshold: Any, value: Any) -> Tensor:
    return torch.where(tensor <= beside(threshold, tensor), _as(tensor.dtype, value), tensor)


def _softplus(tensor: Tensor, beta: Any = 1, threshold: Any = 20) -> Tensor:
    steepness, limit = beside(beta, tensor), beside(threshold, tensor)
    scaled = tensor * steepness
    return torch.where(scaled > limit, tensor, F.softplus(scaled) / steepness)


def _leaky_relu(tensor: Tensor, negative_slope: Any = 0.01) -> Tensor:
    return torch.where(tensor > 0, tensor, tensor * beside(negative_slope, tensor))


def _elu(tensor: Tensor, alpha: Any = 1.0) -> Tensor:
    # Clamped, or the gradient of what is not chosen would be infinite times zero.
    return torch.where(tensor > 0, tensor, torch.expm1(tensor.clamp(max=0)) * beside(alpha, tensor))


def _celu(tensor: Tensor, alpha: Any = 1.0) -> Tensor:
    scale = beside(alpha, tensor)
    return torch.where(tensor > 0, tensor, torch.expm1(tensor.clamp(max=0) / scale) * scale)


def _logit(tensor: Tensor, eps: Any = None) -> Tensor:
    inside = tensor.clamp(min=0, max=1) if eps is None else _clamp(tensor, eps, Scalar(1 - eps.numeric()))
    return torch.log(inside / (1 - inside))


def _nan_to_num(tensor: Tensor, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Tensor:
    plain = [None if isinstance(each, Scalar) else each for each in (nan, posinf, neginf)]
    result = torch.nan_to_num(tensor, *plain)
    found = (torch.isnan(tensor), tensor == math.inf, tensor == -math.inf)
    for where, value in zip(found, (nan, posinf, neginf), strict=True):
        if isinstance(value, Scalar):
            result = torch.where(where, _as(tensor.dtype, value), result)
    return result


def _full_like(tensor: Tensor, fill_value: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    del device  # the graph runs where its inputs are
    return _as(dtype or tensor.dtype, fill_value).expand_as(tensor)


def _full(size: Any, fill_value: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    del device
    return _as(dtype or torch.get_default_dtype(), fill_value).expand(size)


def _new_full(tensor: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    return _full(size, fill_value, dtype=dtype or tensor.dtype, device=device)


def _tensor(data: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    del device
    if isinstance(data, tuple | list):
        return torch.stack([_tensor(each, dtype=dtype) for each in data])
    if isinstance(data, Tensor):
        raise refuse(
            RefusalCode.TENSOR_TO_NUMBER, "torch.tensor() takes Python numbers: use torch.stack() to join tensors."
        )
    if not isinstance(data, (Scalar, *NUMBERS)):
        raise TypeError("its data are no numbers")
    number = data.tensor if isinstance(data, Scalar) else constant(data)
    wanted = dtype or (torch.bool if number.dtype is torch.bool else torch.get_default_dtype())
    # As a printed graph writes it, so that compiled again it is the same graph.
    return number if number.dtype is wanted else number.to(wanted)


def _new_tensor(tensor: Tensor, data: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    return _tensor(data, dtype=dtype or tensor.dtype, device=device)


def _linspace(start: Any, end: Any, steps: int, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    del device
    dtype = dtype or torch.get_default_dtype()
    low, high = numeric(start), numeric(end)
    grid = torch.linspace(0, 1, steps, dtype=torch.float64)
    return (low + (high - low) * grid).to(dtype)


def _norm(tensor: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    if not isinstance(p, Scalar):
        raise TypeError("its dimension is no integer")
    power = beside(p, tensor)
    powers = tensor.abs() ** power
    total = powers.sum() if dim is None else powers.sum(dim, keepdim=keepdim)
    return total ** (1 / p.numeric()).to(tensor.dtype)


def _vector_norm(tensor: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    return _norm(tensor, ord, dim, keepdim)


def _normalize(tensor: Tensor, p: Any = 2.0, dim: int = 1, eps: Any = 1e-12) -> Tensor:
    norm = _norm(tensor, p, dim, True) if isinstance(p, Scalar) else tensor.norm(p, dim, keepdim=True)
    return tensor / torch.clamp_min(norm, beside(eps, norm))


def _huber_loss(first: Tensor, second: Tensor, reduction: str = "mean", delta: Any = 1.0) -> Tensor:
    difference = first - second
    distance, limit = difference.abs(), beside(delta, difference)
    losses = torch.where(distance <= limit, 0.5 * difference * difference, limit * (distance - 0.5 * limit))
    return _reduce(losses, reduction)


def _smooth_l1_loss(first: Tensor, second: Tensor, *, reduction: str = "mean", beta: Any = 1.0) -> Tensor:
    difference = first - second
    distance, limit = difference.abs(), beside(beta, difference)
    losses = torch.where(distance < limit, 0.5 * difference * difference / limit, distance - 0.5 * limit)
    return _reduce(losses, reduction)


def _margin_ranking_loss(
    first: Tensor, second: Tensor, target: Tensor, margin: Any = 0, *, reduction: str = "mean"
) -> Tensor:
    violation = -target * (first - second)
    return _reduce((violation + beside(margin, violation)).clamp_min(0), reduction)


def _hinge_embedding_loss(tensor: Tensor, target: Tensor, margin: Any = 1.0, *, reduction: str = "mean") -> Tensor:
    apart = (beside(margin, tensor) - tensor).clamp_min(0)
    losses = torch.where(target != 1, apart, 0.0) + torch.where(target != -1, tensor, 0.0)
    return _reduce(losses, reduction)


def _div(tensor: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    divide = _with_tensor(torch.div)
    return divide(tensor, other) if rounding_mode is None else divide(tensor, other, rounding_mode=rounding_mode)


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        **{name: _with_tensor(getattr(torch, name)) for name in ("mul", "pow", "remainder", "xlogy", "float_power")},
        **{name: _first_is_tensor(getattr(torch, name)) for name in ("clamp_max", "clamp_min", "floor_divide", "fmod")},
        **{name: _first_is_tensor(getattr(torch, name)) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
        "add": _add,
        "sub": _sub,
        "rsub": _rsub,
        "div": _div,
        "addcmul": _addcmul,
        "addcdiv": _addcdiv,
        "lerp": _lerp,
        "quantile": _quantile,
        "where": _where,
        "masked_fill": _masked_fill,
        "clamp": _clamp,
        "hardtanh": _hardtanh,
        "threshold": _threshold,
        "softplus": _softplus,
        "leaky_relu": _leaky_relu,
        "elu": _elu,
        "celu": _celu,
        "logit": _logit,
        "nan_to_num": _nan_to_num,
        "full_like": _full_like,
        "full": _full,
        "new_full": _new_full,
        "tensor": _tensor,
        "scalar_tensor": _tensor,
        "new_tensor": _new_tensor,
        "linspace": _linspace,
        "norm": _norm,
        "vector_norm": _vector_norm,
        "normalize": _normalize,
        "huber_loss": _huber_loss,
        "smooth_l1_loss": _smooth_l1_loss,
        "margin_ranking_loss": _margin_ranking_loss,
        "hinge_embedding_loss": _hinge_embedding_loss,
    }
)
"""By the canonical name; a method of a tensor is the function with the tensor first."""
METHOD_ROWS: Mapping[str, Row] = MappingProxyType({"where": _method_where})
"""Where a method's order of arguments is another one."""

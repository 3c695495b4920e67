"""How an operation of a graph is written in PyTorch: as an operator where Python has one, else as a call."""

import ast
import math
from collections.abc import Callable, Mapping

from discovery_service.losses.arguments import OPEN_END
from discovery_service.losses.operators import Operator

Arguments = Mapping[str, ast.expr]


def read_expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def write_number(value: bool | int | float) -> ast.expr:
    if math.isnan(value):
        return read_expression("math.nan")
    if math.copysign(1, value) < 0:
        # A constant with a sign of its own would lose its brackets in (-2) ** x.
        return ast.UnaryOp(ast.USub(), write_number(-value))
    return read_expression("math.inf") if math.isinf(value) else ast.Constant(value)


def write_operation(operator: Operator, arguments: Arguments, *, has_numbers: bool) -> ast.expr:
    """The call with these arguments; `has_numbers` where a number stands for a tensor, which few functions take."""
    packet = operator.packet
    if write := _OPERATORS.get((packet, tuple(arguments))):
        return write(*arguments.values())
    if packet in ("slice", "select") and (index := _write_index(packet, arguments)) is not None:
        return ast.Subscript(arguments["self"], index, ast.Load())
    if packet == "broadcast_tensors" and isinstance(tensors := arguments["tensors"], ast.List):
        return ast.Call(read_expression("torch.broadcast_tensors"), tensors.elts, [])
    if has_numbers or packet in _UNNAMED or "scale" in arguments:
        return _write_call(read_expression(f"torch.ops.{operator.name}"), operator, arguments)
    if packet in _METHODS:
        method = ast.Attribute(arguments["self"], packet, ast.Load())
        return _write_call(method, operator, {name: each for name, each in arguments.items() if name != "self"})
    if packet in _FUNCTIONAL:
        function = read_expression(f"F.{_FUNCTIONAL[packet]}")
        return _write_call(function, operator, {name: _name(name, each) for name, each in arguments.items()})
    return _write_call(read_expression(f"torch.{_ELSEWHERE.get(packet, packet)}"), operator, arguments)


def write_size(name: str, arguments: Arguments) -> ast.expr:
    given = list(arguments.values())
    if name == "sym_size":
        return ast.Subscript(ast.Attribute(given[0], "shape", ast.Load()), given[1], ast.Load())
    if name == "sym_neg":
        return ast.UnaryOp(ast.USub(), given[0])
    if name in _SIZES:
        return ast.BinOp(given[0], _SIZES[name], given[1])
    return ast.Call(ast.Name(name.removeprefix("sym_")), given, [])


def _write_call(function: ast.expr, operator: Operator, arguments: Arguments) -> ast.expr:
    """What has no default by its place, the rest by name."""
    given = [each.name for each in operator.parameters if each.is_required and not each.is_keyword_only]
    return ast.Call(
        function,
        [arguments[name] for name in given if name in arguments],
        [ast.keyword(name, each) for name, each in arguments.items() if name not in given],
    )


def _write_index(packet: str, arguments: Arguments) -> ast.expr | None:
    """None for a dimension that is counted from the end, and for parts of one that is not the first."""
    dim = arguments.get("dim", ast.Constant(0))
    if not isinstance(dim, ast.Constant) or not isinstance(dim.value, int):
        return None
    if packet == "select":
        return arguments["index"] if dim.value == 0 else None
    part = ast.Slice(*(_write_bound(arguments.get(name)) for name in ("start", "end", "step")))
    return ast.Tuple([*(ast.Slice() for _ in range(dim.value)), part], ast.Load()) if dim.value else part


def _write_bound(bound: ast.expr | None) -> ast.expr | None:
    is_open = isinstance(bound, ast.Constant) and bound.value in (None, OPEN_END)
    return None if is_open else bound


def _name(parameter: str, value: ast.expr) -> ast.expr:
    if parameter == "reduction" and isinstance(value, ast.Constant) and isinstance(value.value, int):
        return ast.Constant(("none", "mean", "sum")[value.value])
    return value


def _binary(sign: ast.operator) -> Callable[..., ast.expr]:
    return lambda left, right: ast.BinOp(left, sign, right)


def _compare(sign: ast.cmpop) -> Callable[..., ast.expr]:
    return lambda left, right: ast.Compare(left, [sign], [right])


_PAIR = ("self", "other")
_OPERATORS: Mapping[tuple[str, tuple[str, ...]], Callable[..., ast.expr]] = {
    ("add", _PAIR): _binary(ast.Add()),
    ("sub", _PAIR): _binary(ast.Sub()),
    ("rsub", _PAIR): lambda left, right: ast.BinOp(right, ast.Sub(), left),
    ("mul", _PAIR): _binary(ast.Mult()),
    ("div", _PAIR): _binary(ast.Div()),
    ("floor_divide", _PAIR): _binary(ast.FloorDiv()),
    ("remainder", _PAIR): _binary(ast.Mod()),
    ("matmul", _PAIR): _binary(ast.MatMult()),
    ("pow", ("self", "exponent")): _binary(ast.Pow()),
    ("reciprocal", ("self",)): lambda term: ast.BinOp(ast.Constant(1), ast.Div(), term),
    ("neg", ("self",)): lambda term: ast.UnaryOp(ast.USub(), term),
    ("bitwise_not", ("self",)): lambda term: ast.UnaryOp(ast.Invert(), term),
    ("bitwise_and", _PAIR): _binary(ast.BitAnd()),
    ("bitwise_or", _PAIR): _binary(ast.BitOr()),
    ("bitwise_xor", _PAIR): _binary(ast.BitXor()),
    ("eq", _PAIR): _compare(ast.Eq()),
    ("ne", _PAIR): _compare(ast.NotEq()),
    ("lt", _PAIR): _compare(ast.Lt()),
    ("le", _PAIR): _compare(ast.LtE()),
    ("gt", _PAIR): _compare(ast.Gt()),
    ("ge", _PAIR): _compare(ast.GtE()),
    ("numpy_T", ("self",)): lambda term: ast.Attribute(term, "T", ast.Load()),
    # Made from constants alone, which stay as they are.
    ("lift_fresh", ("self",)): lambda term: term,
    ("lift_fresh_copy", ("self",)): lambda term: term,
}
_SIZES: Mapping[str, ast.operator] = {
    "sym_add": ast.Add(),
    "sym_sub": ast.Sub(),
    "sym_mul": ast.Mult(),
    "sym_floordiv": ast.FloorDiv(),
    "sym_mod": ast.Mod(),
    "sym_truediv": ast.Div(),
}
_METHODS = {
    *("view", "view_as", "reshape", "expand", "expand_as", "repeat", "permute", "transpose", "flatten", "unsqueeze"),
    *("squeeze", "select", "narrow", "contiguous", "detach", "clone", "to", "type_as", "new_ones", "new_zeros"),
    *("new_full", "masked_fill"),
}
_FUNCTIONAL: Mapping[str, str] = {
    "log_sigmoid": "logsigmoid",
    **{
        name: name
        for name in (
            *("relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "hardtanh", "hardsigmoid"),
            *("hardswish", "hardshrink", "softshrink", "leaky_relu", "threshold", "cosine_similarity", "mse_loss"),
            *("l1_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss", "margin_ranking_loss"),
            *("hinge_embedding_loss", "kl_div", "binary_cross_entropy_with_logits"),
        )
    },
}
_ELSEWHERE: Mapping[str, str] = {
    "special_ndtr": "special.ndtr",
    "special_log_ndtr": "special.log_ndtr",
    "linalg_vector_norm": "linalg.vector_norm",
}
_UNNAMED = {"broadcast_tensors", "_softmax", "_log_softmax", "_to_copy", "alias", "slice", "scalar_tensor"}
"""What only ATen itself has, or with other parameters."""

"""The operations that a graph may use, as data: parameters by name and kind, defaults, how many results. Torch-free."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from discovery_service.losses.operator_table import ROWS


class Kind(Enum):
    TENSOR = auto()
    TENSORS = auto()
    NUMBER = auto()
    INTEGER = auto()
    INTEGERS = auto()
    FLAG = auto()
    TEXT = auto()
    DTYPE = auto()
    DEVICE = auto()


_KINDS = {
    "Tensor": Kind.TENSOR,
    "Tensor[]": Kind.TENSORS,
    "Scalar": Kind.NUMBER,
    "float": Kind.NUMBER,
    "int": Kind.INTEGER,
    "SymInt": Kind.INTEGER,
    "int[]": Kind.INTEGERS,
    "SymInt[]": Kind.INTEGERS,
    "bool": Kind.FLAG,
    "str": Kind.TEXT,
    "ScalarType": Kind.DTYPE,
    "Device": Kind.DEVICE,
}

Default = bool | int | float | str | tuple[int, ...] | None


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: Kind
    is_optional: bool
    """None is taken."""
    is_keyword_only: bool
    is_required: bool
    default: Default = None


@dataclass(frozen=True)
class Operator:
    name: str
    """As `aten.add.Tensor`."""
    parameters: tuple[Parameter, ...]
    outputs: int | None
    """1: a tensor; more: a tuple of that many; None: a list whose length depends on shapes."""

    @property
    def packet(self) -> str:
        """The name without namespace and overload, as `add`."""
        return self.name.split(".")[1]

    @property
    def first_tensor(self) -> str | None:
        """The parameter that wants a tensor where the others of its kind take a number too."""
        return next((each.name for each in self.parameters if each.kind is Kind.TENSOR), None)

    @property
    def is_factory(self) -> bool:
        """Makes a tensor from numbers alone, on a device that somebody has to name."""
        kinds = {each.kind for each in self.parameters}
        return Kind.DEVICE in kinds and not kinds & {Kind.TENSOR, Kind.TENSORS}


def _read_parameter(text: str, *, is_keyword_only: bool) -> Parameter:
    declared, _, default = text.partition("=")
    kind, name = declared.split(" ")
    value = ast.literal_eval(default) if default else None
    return Parameter(
        name=name,
        # int[1] says that a lone number may stand for the list, which every list of numbers here allows.
        kind=_KINDS[kind.removesuffix("?").replace("[1]", "[]")],
        is_optional=kind.endswith("?"),
        is_keyword_only=is_keyword_only,
        is_required=not default,
        default=tuple(value) if isinstance(value, list) else value,
    )


def _read_row(row: str) -> Operator:
    match = re.fullmatch(r"([\w.]+)\((.*?)\)(?: -> (.+))?", row)
    assert match is not None, row
    name, declared, returns = match.groups()
    positional, _, keywords = declared.partition("*, ")
    outputs = None if returns == "Tensor[]" else returns.count("Tensor") if returns else 1
    return Operator(
        name=f"aten.{name}" if "." in name else f"aten.{name}.default",
        parameters=(
            *(_read_parameter(each, is_keyword_only=False) for each in positional.split(", ") if each),
            *(_read_parameter(each, is_keyword_only=True) for each in keywords.split(", ") if each),
        ),
        outputs=outputs,
    )


_READ = [_read_row(row) for row in ROWS.splitlines() if row and not row.startswith("#")]
OPERATORS: Mapping[str, Operator] = {each.name: each for each in _READ}

# Other names of the same function with the same parameters in the same order; a graph is read with the first of them.
SYNONYMS: Mapping[str, str] = {
    f"aten.{name}.{overload}": f"aten.{meant}.{overload}"
    for name, meant, overloads in (
        ("subtract", "sub", "Tensor Scalar"),
        ("multiply", "mul", "Tensor Scalar"),
        ("divide", "div", "Tensor Scalar Tensor_mode Scalar_mode"),
        ("true_divide", "div", "Tensor Scalar"),
        ("not_equal", "ne", "Tensor Scalar"),
        ("less", "lt", "Tensor Scalar"),
        ("less_equal", "le", "Tensor Scalar"),
        ("greater", "gt", "Tensor Scalar"),
        ("greater_equal", "ge", "Tensor Scalar"),
        ("__and__", "bitwise_and", "Tensor"),
        ("__or__", "bitwise_or", "Tensor"),
        ("__xor__", "bitwise_xor", "Tensor"),
        ("clip", "clamp", "default Tensor"),
        ("negative", "neg", "default"),
        ("absolute", "abs", "default"),
        ("concat", "cat", "default"),
        ("special_expit", "sigmoid", "default"),
    )
    for overload in overloads.split()
} | {
    "aten.max.other": "aten.maximum.default",
    "aten.min.other": "aten.minimum.default",
    "aten.swapaxes.default": "aten.transpose.int",
    "aten.sym_size.int": "sym_size",
}

# Arithmetic on sizes: Python numbers, not tensors.
SIZE_OPERATORS: Mapping[str, tuple[str, ...]] = {
    "sym_size": ("tensor", "dim"),
    **dict.fromkeys(("sym_neg", "sym_float"), ("value",)),
    **dict.fromkeys(
        ("sym_add", "sym_sub", "sym_mul", "sym_floordiv", "sym_mod", "sym_truediv", "sym_min", "sym_max"),
        ("left", "right"),
    ),
}

TEXTS: Mapping[str, frozenset[str]] = {
    "rounding_mode": frozenset({"floor", "trunc"}),
    "interpolation": frozenset({"linear", "lower", "higher", "midpoint", "nearest"}),
    "approximate": frozenset({"none", "tanh"}),
}
"""What a parameter of kind TEXT may say; the equation of einsum has a grammar of its own."""

INTEGER_BOUNDS: Mapping[tuple[str, str], tuple[int, int]] = {
    # Each step of diff is a pass over the tensor, so its number is time.
    ("diff", "n"): (0, 8),
    **{
        (packet, "reduction"): (0, 2)
        for packet in (
            *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss", "margin_ranking_loss"),
            *("hinge_embedding_loss", "kl_div", "binary_cross_entropy_with_logits"),
        )
    },
}
"""Where not every integer means something; these take no size of a tensor either."""

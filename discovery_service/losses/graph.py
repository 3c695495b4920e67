"""A loss as data: the schema of its graph, and the reader that believes no document. Torch-free.

A document is `{"v": 1, "family", "torch", "inputs": [name], "hyperparameters": [{"name", "value", "structural"}],
"constants": [{"dtype", "shape", "data"}], "nodes": [{"op", "a": [argument], "k"?: {name: argument}, "ng"?: bool}],
"out": reference}`. A reference is `{"r": i}` or, to one of several results, `{"r": i, "o": j}`; value i counts inputs,
then hyper-parameters that are not structural, then constants, then nodes, and a node refers to earlier values only.
Other arguments are JSON's own, `{"f": "inf" | "-inf" | "nan"}`, `{"t": dtype}`, `{"d": "in"}`, `{"l": [argument]}`.
"ng" marks what was computed under `torch.no_grad()`.

Covered: form, names, kinds of arguments, references. Not covered: shapes, dtypes, memory, values; those need torch.
"""

import json
import keyword
import math
import re
from dataclasses import dataclass
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.losses.arguments import (
    DTYPES,
    MAX_EXACT,
    TENSOR,
    Ref,
    ValueKind,
    bad,
    has_keys,
    is_plain_number,
    read_ref,
    read_special_float,
    write_argument,
)
from discovery_service.losses.families import INPUTS, Role, find_input
from discovery_service.losses.nodes import Node, read_nodes
from discovery_service.losses.refusals import RefusalCode, refuse

VERSION = 1
MAX_BYTES = 1 << 16
MAX_CONSTANTS = 16
MAX_ELEMENTS = 1024
MAX_RANK = 4
MAX_HYPERPARAMETERS = 32
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TORCH = re.compile(r"2\.13\.[0-9]{1,3}([+a-z0-9.]{0,24})?")
_INTEGER_LIMITS = {"int64": MAX_EXACT, "int32": (1 << 31) - 1}


@dataclass(frozen=True)
class Hyperparameter:
    name: str
    value: int | float
    is_structural: bool
    """Its value is compiled in; another one needs another graph."""


@dataclass(frozen=True)
class Constant:
    dtype: str
    shape: tuple[int, ...]
    data: tuple[bool | int | float, ...]


@dataclass(frozen=True)
class Graph:
    """A document that was read: well formed, and nothing more."""

    family: Family
    torch_version: str
    inputs: tuple[str, ...]
    hyperparameters: tuple[Hyperparameter, ...]
    constants: tuple[Constant, ...]
    nodes: tuple[Node, ...]
    out: Ref

    @property
    def free_hyperparameters(self) -> tuple[Hyperparameter, ...]:
        """Those that are inputs of the graph."""
        return tuple(each for each in self.hyperparameters if not each.is_structural)

    @property
    def leaves(self) -> tuple[str | Hyperparameter | Constant, ...]:
        """The values before the first node, an input by its name."""
        return (*self.inputs, *self.free_hyperparameters, *self.constants)

    def live_values(self) -> list[int]:
        """The values that the result depends on, each after those that it depends on itself."""
        first = len(self.leaves)
        live = {self.out.value}
        for value in range(first + len(self.nodes) - 1, first - 1, -1):
            if value in live:
                live.update(ref.value for ref in self.nodes[value - first].refs())
        return sorted(live)

    def document(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "family": self.family.value,
            "torch": self.torch_version,
            "inputs": list(self.inputs),
            "hyperparameters": [
                {"name": each.name, "value": each.value, "structural": each.is_structural}
                for each in self.hyperparameters
            ],
            "constants": [
                {"dtype": each.dtype, "shape": list(each.shape), "data": [write_argument(item) for item in each.data]}
                for each in self.constants
            ],
            "nodes": [each.document() for each in self.nodes],
            "out": write_argument(self.out),
        }


def read_graph(document: object) -> Graph:
    """The graph of a document that JSON was read into. Raises Refused, whatever it holds."""
    fields = {"v", "family", "torch", "inputs", "hyperparameters", "constants", "nodes", "out"}
    if not (type(document) is dict and has_keys(document, fields)):
        raise bad("it has other fields than a graph has")
    if type(document["v"]) is not int or document["v"] != VERSION:
        raise bad(f"it is not of version {VERSION}")
    family = _read_family(document["family"])
    inputs = _read_inputs(document["inputs"], family)
    hyperparameters = _read_hyperparameters(document["hyperparameters"], family)
    constants = tuple(_read_constant(each) for each in _limited(document["constants"], MAX_CONSTANTS, "constants"))
    kinds: list[ValueKind] = [TENSOR] * (
        len(inputs) + sum(not each.is_structural for each in hyperparameters) + len(constants)
    )
    nodes = read_nodes(document["nodes"], kinds)
    graph = Graph(
        family=family,
        torch_version=_read_torch_version(document["torch"]),
        inputs=inputs,
        hyperparameters=hyperparameters,
        constants=constants,
        nodes=nodes,
        out=read_ref(document["out"], kinds, TENSOR),
    )
    _check_bytes(graph)
    return graph


def _check_bytes(graph: Graph) -> None:
    """However it came here; the longest that the other bounds let through would have 300 KB."""
    size = len(json.dumps(graph.document(), separators=(",", ":")))
    if size > MAX_BYTES:
        raise refuse(
            RefusalCode.TOO_MUCH_MEMORY,
            f"The loss takes {size} bytes as a graph where {MAX_BYTES} are allowed: use fewer and shorter constant"
            " tensors, or compute what they hold.",
        )


def _limited(raw: object, limit: int, what: str) -> list[object]:
    if type(raw) is not list or len(raw) > limit:
        raise bad(f"{what} is no list of at most {limit}")
    return raw


def _read_family(raw: object) -> Family:
    if type(raw) is not str or raw not in list(Family):
        raise bad("its family is none of " + ", ".join(Family))
    return Family(raw)


def _read_torch_version(raw: object) -> str:
    if type(raw) is not str or not _TORCH.fullmatch(raw):
        raise bad("it was not made with torch 2.13")
    return raw


def _read_inputs(raw: object, family: Family) -> tuple[str, ...]:
    known = [each.name for each in INPUTS[family]]
    given = _limited(raw, len(known), "inputs")
    if given != [name for name in known if name in given]:
        raise bad("its inputs are not the family's, each once and in their order")
    inputs = tuple(name for name in known if name in given)
    if not any(each.role is Role.POLICY for each in INPUTS[family] if each.name in inputs):
        raise refuse(
            RefusalCode.NOT_DIFFERENTIABLE,
            "The loss does not use the policy's log-probabilities, so nothing can be learned from it.",
        )
    return inputs


def _read_hyperparameters(raw: object, family: Family) -> tuple[Hyperparameter, ...]:
    read = tuple(_read_hyperparameter(each, family) for each in _limited(raw, MAX_HYPERPARAMETERS, "hyperparameters"))
    if len({each.name for each in read}) < len(read):
        raise bad("two hyper-parameters have one name")
    return read


def _read_hyperparameter(raw: object, family: Family) -> Hyperparameter:
    if not (type(raw) is dict and has_keys(raw, {"name", "value", "structural"})):
        raise bad("a hyper-parameter has other fields than name, value, structural")
    name, value, is_structural = raw["name"], raw["value"], raw["structural"]
    if type(name) is not str or not _NAME.fullmatch(name) or _is_taken(name, family):
        raise bad("the name of a hyper-parameter is none that a parameter may have")
    if not is_plain_number(value):
        raise bad(f"the hyper-parameter {name} has no finite number for a value")
    if type(is_structural) is not bool:
        raise bad(f"the hyper-parameter {name} does not say whether it is structural")
    return Hyperparameter(name, value, is_structural)


def _is_taken(name: str, family: Family) -> bool:
    return keyword.iskeyword(name) or name in ("torch", "F", "math") or find_input(family, name) is not None


def _read_constant(raw: object) -> Constant:
    if not (type(raw) is dict and has_keys(raw, {"dtype", "shape", "data"})):
        raise bad("a constant has other fields than dtype, shape, data")
    dtype = raw["dtype"]
    if type(dtype) is not str or dtype not in DTYPES:
        raise bad("the dtype of a constant is none of " + ", ".join(DTYPES))
    shape = _limited(raw["shape"], MAX_RANK, "the shape of a constant")
    sizes = [size for size in shape if type(size) is int and 0 <= size <= MAX_ELEMENTS]
    data = _limited(raw["data"], MAX_ELEMENTS, "the data of a constant")
    if len(sizes) < len(shape) or math.prod(sizes) != len(data):
        raise bad("the data of a constant does not fill its shape")
    return Constant(dtype, tuple(sizes), tuple(_read_element(each, dtype) for each in data))


def _read_element(raw: object, dtype: str) -> bool | int | float:
    if dtype == "bool":
        if type(raw) is bool:
            return raw
    elif dtype in _INTEGER_LIMITS:
        if type(raw) is int and abs(raw) <= _INTEGER_LIMITS[dtype]:
            return raw
    elif type(raw) is dict:
        return read_special_float(raw)
    elif is_plain_number(raw):
        return raw
    raise bad(f"a constant holds what is no {dtype}")

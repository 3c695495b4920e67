"""The identity of a graph: one hash for all graphs that compute the same by the same operations.

Ignored: the names of hyper-parameters, the order of nodes, of operands that commute and of the terms of a sum or
factors of a product, dead code, the version of torch. Not ignored: every number, default values of hyper-parameters
among them, every operation, what is computed under `no_grad`.
"""

import hashlib
import json
from collections.abc import Mapping

from discovery_service.losses.arguments import Argument, Ref, write_argument
from discovery_service.losses.families import find_input
from discovery_service.losses.graph import Constant, Graph, Hyperparameter
from discovery_service.losses.nodes import Node
from discovery_service.losses.operators import OPERATORS

COMMUTING: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            *("aten.add.Tensor", "aten.mul.Tensor", "aten.eq.Tensor", "aten.ne.Tensor"),
            *("aten.maximum.default", "aten.minimum.default", "aten.fmax.default", "aten.fmin.default"),
            *("aten.logical_and.default", "aten.logical_or.default", "aten.logical_xor.default"),
            *("aten.bitwise_and.Tensor", "aten.bitwise_or.Tensor", "aten.bitwise_xor.Tensor"),
            *("aten.logaddexp.default", "aten.logaddexp2.default", "aten.hypot.default"),
        ),
        ("self", "other"),
    ),
    "aten.dot.default": ("self", "tensor"),
    "aten.addcmul.default": ("tensor1", "tensor2"),
    **dict.fromkeys(("sym_add", "sym_mul", "sym_min", "sym_max"), ("left", "right")),
}
MIRRORED = {"aten.gt.Tensor": "aten.lt.Tensor", "aten.ge.Tensor": "aten.le.Tensor"}
"""a > b is b < a."""
_CHAINS = {"aten.add.Tensor", "aten.mul.Tensor"}
_MAX_TERMS = 64
"""A chain that shares its own parts doubles at each step, so a longer one is taken as it is nested."""
_KEEPS_FLOAT = {
    *("add", "sub", "rsub", "mul", "div", "neg", "abs", "pow", "square", "sqrt", "reciprocal", "exp", "expm1", "log"),
    *("log1p", "sigmoid", "log_sigmoid", "softplus", "tanh", "relu", "clamp", "clamp_min", "clamp_max", "minimum"),
    *("maximum", "sum", "mean", "std", "var", "detach"),
}
_FLOATS = {"float16", "bfloat16", "float32", "float64"}


def hash_graph(graph: Graph) -> str:
    """The SHA-256, in hexadecimal, of what the graph's result is made of."""
    return Digests(graph).digest(graph.out)


class Digests:
    """Of a graph's live values, each made from those of the values that it uses."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._digests: dict[int, str] = {}
        self.terms: dict[int, list[Argument]] = {}
        """Of sums and products: what is added or multiplied, in an order that the graph's own does not decide."""
        self._floats: set[int] = set()
        for value in graph.live_values():
            self._add(value)

    def digest(self, ref: Ref) -> str:
        digest = self._digests[ref.value]
        return digest if ref.output is None else _hash(["output", digest, ref.output])

    def _add(self, value: int) -> None:
        leaves = self._graph.leaves
        if value < len(leaves):
            self._digests[value] = _hash([self._graph.family, *self._describe(leaves[value])])
            if self._is_float_leaf(leaves[value]):
                self._floats.add(value)
            return
        node = self._graph.nodes[value - len(leaves)]
        if self._keeps_float(node):
            self._floats.add(value)
        if node.operation in _CHAINS and "alpha" not in node.arguments and value in self._floats:
            self.terms[value] = sorted(self._find_terms(node), key=self.encode)
            written = [self._write(each) for each in self.terms[value]]
            self._digests[value] = _hash([node.operation, node.is_without_gradient, written])
        else:
            self._digests[value] = _hash(self._write_node(node))

    def _describe(self, leaf: str | Hyperparameter | Constant) -> list[object]:
        match leaf:
            case Hyperparameter():
                return ["hyperparameter", float(leaf.value)]
            case Constant():
                return ["constant", leaf.dtype, leaf.shape, [write_argument(each) for each in leaf.data]]
        return ["input", leaf]

    def _is_float_leaf(self, leaf: str | Hyperparameter | Constant) -> bool:
        match leaf:
            case Hyperparameter():
                return True
            case Constant():
                return leaf.dtype in _FLOATS
        declared = find_input(self._graph.family, leaf)
        return declared is not None and not declared.is_integer

    def _keeps_float(self, node: Node) -> bool:
        """Whether it computes with floats alone. Of others a sum is no chain: True + True is True."""
        operator = OPERATORS.get(node.operation)
        return (
            operator is not None
            and operator.packet in _KEEPS_FLOAT
            and "dtype" not in node.arguments
            and all(ref.output is None and ref.value in self._floats for ref in node.refs())
        )

    def encode(self, argument: Argument) -> str:
        """The same text for arguments that are the same, whatever their places in the graph."""
        return _encode(self._write(argument))

    def _find_terms(self, node: Node) -> list[Argument]:
        found: list[Argument] = []
        for name in COMMUTING[node.operation]:
            argument = node.arguments[name]
            inner = self.terms.get(argument.value) if isinstance(argument, Ref) else None
            if isinstance(argument, Ref) and inner is not None and self._continues(node, argument):
                found.extend(inner)
            else:
                found.append(argument)
        if len(found) > _MAX_TERMS:
            return [node.arguments[name] for name in COMMUTING[node.operation]]
        return found

    def _continues(self, node: Node, argument: Ref) -> bool:
        inner = self._graph.nodes[argument.value - len(self._graph.leaves)]
        return (inner.operation, inner.is_without_gradient) == (node.operation, node.is_without_gradient)

    def _write_node(self, node: Node) -> list[object]:
        arguments = {name: self._write(argument) for name, argument in node.arguments.items()}
        operation = node.operation
        if operation in MIRRORED:
            operation = MIRRORED[operation]
            arguments["self"], arguments["other"] = arguments["other"], arguments["self"]
        elif operation in COMMUTING and "alpha" not in arguments:
            first, second = COMMUTING[operation]
            arguments[first], arguments[second] = sorted((arguments[first], arguments[second]), key=_encode)
        return [operation, node.is_without_gradient, sorted(arguments.items())]

    def _write(self, argument: Argument) -> object:
        if isinstance(argument, Ref):
            return {"value": self.digest(argument)}
        if isinstance(argument, tuple):
            return [self._write(each) for each in argument]
        return write_argument(argument)


def _encode(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


def _hash(content: object) -> str:
    return hashlib.sha256(_encode(content).encode()).hexdigest()

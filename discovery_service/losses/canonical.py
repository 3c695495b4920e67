"""The identity of a graph: one hash for all graphs that compute the same by the same operations, and one graph for
each hash. That one is trained, so that equal hashes give equal bits.

Ignored: the names of hyper-parameters, the order of nodes, of operands that commute and of the terms of a sum or
factors of a product, dead code, the version of torch. Not ignored: every number, default values of hyper-parameters
among them, every operation, what is computed under `no_grad`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter

from discovery_service.losses.arguments import Argument, Ref, write_argument
from discovery_service.losses.families import find_input
from discovery_service.losses.graph import Constant, Graph, Hyperparameter
from discovery_service.losses.nodes import Node
from discovery_service.losses.operators import OPERATORS, SIZE_OPERATORS

_COMMUTING: Mapping[str, tuple[str, str]] = {
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
_MIRRORED = {"aten.gt.Tensor": "aten.lt.Tensor", "aten.ge.Tensor": "aten.le.Tensor"}
"""a > b is b < a."""
_CHAINS = {"aten.add.Tensor", "aten.mul.Tensor"}
_MAX_TERMS = 64
"""A chain that shares its own parts doubles at each step, so a longer one is taken as it is nested."""
_MOST_GROWTH = 1.5
"""A sum that is used on the way, as a loop's is, has to be written out anew for each of its uses: where that makes so
many times the operations, all sums are taken as they are nested. Of 918 losses that a search has proposed, the most
was 1.17; of a loop of twenty steps it is 3.2."""
_KEEPS_FLOAT = {
    *("add", "sub", "rsub", "mul", "div", "neg", "abs", "pow", "square", "sqrt", "reciprocal", "exp", "expm1", "log"),
    *("log1p", "sigmoid", "log_sigmoid", "softplus", "tanh", "relu", "clamp", "clamp_min", "clamp_max", "minimum"),
    *("maximum", "sum", "mean", "std", "var", "detach"),
}
_FLOATS = {"float16", "bfloat16", "float32", "float64"}


def hash_graph(graph: Graph) -> str:
    """The SHA-256, in hexadecimal, of what the graph's result is made of."""
    return _choose(graph).digest(graph.out)


def canonicalise(graph: Graph) -> Graph:
    """The graph that stands for all of its hash: what is live, in an order of its own, hyper-parameters by number.

    The order of nodes matters too: gradients that meet are added in its reverse.
    """
    return _Writer(graph, _choose(graph)).write()


def _choose(graph: Graph) -> "_Hasher":
    """With sums joined, unless that makes too much of them."""
    joined = _Hasher(graph)
    if not joined.has_joined:
        return joined
    nested = _Hasher(graph, joins=False)
    flat, as_nested = (len(_Writer(graph, each).write().nodes) for each in (joined, nested))
    return nested if flat > _MOST_GROWTH * as_nested else joined


class _Hasher:
    """Digests of values, each made from those of the values that it uses."""

    def __init__(self, graph: Graph, *, joins: bool = True) -> None:
        self._graph = graph
        self._joins = joins
        self.has_joined = False
        self._digests: dict[int, str] = {}
        self._terms: dict[int, list[Argument]] = {}
        self._floats: set[int] = set()
        for value in graph.live_values():
            self._add(value)

    def find_parts(self, value: int) -> list[Argument] | None:
        """The terms or factors of a chain, in their order; None of anything else."""
        return self._terms.get(value)

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
        if self._joins and node.operation in _CHAINS and "alpha" not in node.arguments and value in self._floats:
            terms = sorted(((_encode(self.write(each)), each) for each in self._find_terms(node)), key=itemgetter(0))
            self._terms[value] = [each for _, each in terms]
            written = [self.write(each) for each in self._terms[value]]
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

    def _find_terms(self, node: Node) -> list[Argument]:
        arguments = [node.arguments[name] for name in _COMMUTING[node.operation]]
        found: list[Argument] = []
        for argument in arguments:
            inner = self._terms.get(argument.value) if isinstance(argument, Ref) else None
            if isinstance(argument, Ref) and inner is not None and self._continues(node, argument):
                found.extend(inner)
                self.has_joined = True
            else:
                found.append(argument)
        return arguments if len(found) > _MAX_TERMS else found

    def _continues(self, node: Node, argument: Ref) -> bool:
        inner = self._graph.nodes[argument.value - len(self._graph.leaves)]
        return (inner.operation, inner.is_without_gradient) == (node.operation, node.is_without_gradient)

    def _write_node(self, node: Node) -> list[object]:
        arguments = {name: self.write(argument) for name, argument in node.arguments.items()}
        operation = node.operation
        if operation in _MIRRORED:
            operation = _MIRRORED[operation]
            arguments["self"], arguments["other"] = arguments["other"], arguments["self"]
        elif operation in _COMMUTING and "alpha" not in arguments:
            first, second = _COMMUTING[operation]
            arguments[first], arguments[second] = sorted((arguments[first], arguments[second]), key=_encode)
        return [operation, node.is_without_gradient, sorted(arguments.items())]

    def write(self, argument: Argument) -> object:
        if isinstance(argument, Ref):
            return {"value": self.digest(argument)}
        if isinstance(argument, tuple):
            return [self.write(each) for each in argument]
        return write_argument(argument)


class _Writer:
    """Makes the one graph of a hash. Values with the same digest become one."""

    def __init__(self, graph: Graph, hasher: _Hasher) -> None:
        self._graph = graph
        self._hasher = hasher
        self._first = len(graph.leaves)
        self._heights: dict[int, int] = {}
        for value in graph.live_values():
            self._heights[value] = 1 + max((self._heights[ref.value] for ref in self._refs(value)), default=-1)
        self._placed: dict[int, int] = {}
        self._leaf_count = 0
        self._nodes: list[Node] = []

    def write(self) -> Graph:
        needed = self._find_needed()
        leaves = self._place_leaves([value for value in needed if value < self._first])
        self._leaf_count = len(leaves)
        of_digest: dict[str, int] = {}
        for value in sorted((each for each in needed if each >= self._first), key=self._rank):
            digest = self._hasher.digest(Ref(value))
            if digest not in of_digest:
                self._write_value(value)
                of_digest[digest] = self._next_value() - 1
            self._placed[value] = of_digest[digest]
        return replace(
            self._graph,
            inputs=tuple(each for each in leaves if isinstance(each, str)),
            hyperparameters=tuple(each for each in leaves if isinstance(each, Hyperparameter)),
            constants=tuple(each for each in leaves if isinstance(each, Constant)),
            nodes=tuple(self._nodes),
            out=self._move(self._graph.out),
        )

    def _rank(self, value: int) -> tuple[int, str]:
        return self._heights[value], self._hasher.digest(Ref(value))

    def _refs(self, value: int) -> list[Ref]:
        if value < self._first:
            return []
        parts = self._hasher.find_parts(value)
        node = self._graph.nodes[value - self._first]
        return list(node.refs()) if parts is None else [each for each in parts if isinstance(each, Ref)]

    def _find_needed(self) -> list[int]:
        """Without what lies inside of a chain and is used nowhere else."""
        needed = {self._graph.out.value}
        for value in sorted(self._heights, reverse=True):
            if value in needed:
                needed.update(ref.value for ref in self._refs(value))
        return sorted(needed)

    def _place_leaves(self, values: list[int]) -> list[str | Hyperparameter | Constant]:
        def rank(value: int) -> tuple[int, float, str]:
            leaf = self._graph.leaves[value]
            match leaf:
                case Hyperparameter():
                    return 1, float(leaf.value), ""
                case Constant():
                    return 2, 0.0, self._hasher.digest(Ref(value))
            return 0, float(value), ""

        ordered = sorted(values, key=rank)
        self._placed = {value: place for place, value in enumerate(ordered)}
        return [self._graph.leaves[value] for value in ordered]

    def _write_value(self, value: int) -> None:
        node = self._graph.nodes[value - self._first]
        parts = self._hasher.find_parts(value)
        if parts is not None:
            self._write_chain(node, parts)
            return
        arguments = {name: self._move_argument(each) for name, each in node.arguments.items()}
        if node.operation in _COMMUTING and "alpha" not in arguments:
            first, second = _COMMUTING[node.operation]
            one, other = arguments[first], arguments[second]
            # A number, or the size of something, may stand only where it stood.
            are_tensors = all(self._is_tensor(node.arguments[name]) for name in (first, second))
            if isinstance(one, Ref) and isinstance(other, Ref) and are_tensors and _rank_ref(other) < _rank_ref(one):
                arguments[first], arguments[second] = other, one
        self._nodes.append(replace(node, arguments=arguments))

    def _is_tensor(self, argument: Argument) -> bool:
        if not isinstance(argument, Ref):
            return False
        place = argument.value - self._first
        return place < 0 or self._graph.nodes[place].operation not in SIZE_OPERATORS

    def _write_chain(self, node: Node, parts: list[Argument]) -> None:
        """Term by term. A number cannot be the first: an operation wants a tensor there."""
        first, second = _COMMUTING[node.operation]
        ordered = sorted(parts, key=lambda each: not isinstance(each, Ref))
        so_far = self._move_argument(ordered[0])
        for each in ordered[1:]:
            self._nodes.append(replace(node, arguments={first: so_far, second: self._move_argument(each)}))
            so_far = Ref(self._next_value() - 1)

    def _next_value(self) -> int:
        return self._leaf_count + len(self._nodes)

    def _move(self, ref: Ref) -> Ref:
        return Ref(self._placed[ref.value], ref.output)

    def _move_argument(self, argument: Argument) -> Argument:
        if isinstance(argument, Ref):
            return self._move(argument)
        return tuple(map(self._move_argument, argument)) if isinstance(argument, tuple) else argument


def _rank_ref(ref: Ref) -> tuple[int, int]:
    return ref.value, ref.output or 0


def _encode(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


def _hash(content: object) -> str:
    return hashlib.sha256(_encode(content).encode()).hexdigest()

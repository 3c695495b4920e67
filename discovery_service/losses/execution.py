"""The graph that is run for a loss: one for all graphs of one hash, so that equal hashes mean equal bits.

The hash does not see in which order sums and products are taken, and the bits of a float do. Rebuilt here are nodes and
operands in an order that only what they compute decides, each value once and nothing that the result does not need.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from discovery_service.losses.arguments import Argument, Ref, find_refs
from discovery_service.losses.canonical import COMMUTING, MIRRORED, Digests
from discovery_service.losses.families import INPUTS
from discovery_service.losses.graph import Constant, Graph, Hyperparameter
from discovery_service.losses.nodes import MAX_NODES, Node


@dataclass(frozen=True)
class Execution:
    graph: Graph
    sha256: str
    """Equal only for graphs that give the same bits."""


def find_execution(graph: Graph) -> Execution:
    """What is run for the graph. One whose sums share so many terms that it would grow too long is run as it is."""
    form = _Form(graph)
    rebuilt = form.rebuild()
    if len(rebuilt.nodes) <= MAX_NODES:
        return Execution(rebuilt, form.digests.digest(graph.out))
    document = json.dumps(graph.document(), sort_keys=True, separators=(",", ":"))
    return Execution(graph, hashlib.sha256(document.encode()).hexdigest())


class _Form:
    """Every value by its digest, and what it is made of in the canonical order."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._first = len(graph.leaves)
        self.digests = Digests(graph)
        self._places: dict[str, int] = {}
        self._nodes: dict[str, int] = {}
        self._built: list[Node] = []

    def rebuild(self) -> Graph:
        needed = self._find_needed()
        leaves = [self._graph.leaves[value] for value in needed if value < self._first]
        order = [each.name for each in INPUTS[self._graph.family]]
        inputs = sorted({each for each in leaves if isinstance(each, str)}, key=order.index)
        free = [each for each in leaves if isinstance(each, Hyperparameter)]
        constants = [each for each in leaves if isinstance(each, Constant)]
        for index, leaf in enumerate((*inputs, *free, *constants)):
            self._places[self._digest(self._graph.leaves.index(leaf))] = index
        self._offset = len(self._places)
        for value in needed:
            if value >= self._first:
                self._places[self._digest(value)] = self._build(value)
        return Graph(
            family=self._graph.family,
            torch_version=self._graph.torch_version,
            inputs=tuple(inputs),
            hyperparameters=tuple(Hyperparameter(f"h{i}", float(each.value), False) for i, each in enumerate(free)),
            constants=tuple(constants),
            nodes=tuple(self._built),
            out=self._move_ref(self._graph.out),
        )

    def _find_needed(self) -> list[int]:
        """One value for each digest that the result needs, in an order that the digests decide."""
        live = self._graph.live_values()
        depths: dict[int, int] = {}
        for value in live:
            depths[value] = 1 + max((depths[each] for each in self._find_uses(value)), default=-1)
        needed = {self._graph.out.value}
        for value in reversed(live):
            if value in needed:
                needed.update(self._find_uses(value))
        by_digest = {self._digest(value): value for value in sorted(needed)}
        return sorted(by_digest.values(), key=lambda value: (depths[value], self._digest(value)))

    def _find_uses(self, value: int) -> list[int]:
        if value < self._first:
            return []
        given = self.digests.terms.get(value) or self._graph.nodes[value - self._first].arguments.values()
        return [ref.value for each in given for ref in find_refs(each)]

    def _build(self, value: int) -> int:
        node = self._graph.nodes[value - self._first]
        if value in self.digests.terms:
            return self._build_chain(node, self.digests.terms[value])
        if node.operation in COMMUTING and "alpha" not in node.arguments:
            names = COMMUTING[node.operation]
            swapped = dict(zip(names, sorted((node.arguments[name] for name in names), key=self._place), strict=True))
            return self._add(node, node.operation, {**node.arguments, **swapped})
        if node.operation in MIRRORED and isinstance(node.arguments["other"], Ref):
            swapped = {"self": node.arguments["other"], "other": node.arguments["self"]}
            return self._add(node, MIRRORED[node.operation], {**node.arguments, **swapped})
        return self._add(node, node.operation, node.arguments)

    def _build_chain(self, node: Node, terms: list[Argument]) -> int:
        first, *rest = sorted(terms, key=self._place)
        assert isinstance(first, Ref)
        so_far = self._move_ref(first)
        for each in rest:
            arguments: dict[str, Argument] = {"self": so_far, "other": self._move(each)}
            so_far = Ref(self._intern(Node(node.operation, arguments, node.is_without_gradient)))
        return so_far.value

    def _add(self, node: Node, operation: str, arguments: Mapping[str, Argument]) -> int:
        moved = {name: self._move(argument) for name, argument in arguments.items()}
        return self._intern(Node(operation, moved, node.is_without_gradient))

    def _intern(self, node: Node) -> int:
        """Its place; a part of two chains is computed once."""
        text = json.dumps(node.document(), sort_keys=True)
        if text not in self._nodes:
            self._nodes[text] = self._offset + len(self._built)
            self._built.append(node)
        return self._nodes[text]

    def _place(self, argument: Argument) -> tuple[bool, str]:
        """Values before numbers: an operation's first operand has to be a tensor."""
        return not isinstance(argument, Ref), self.digests.encode(argument)

    def _move(self, argument: Argument) -> Argument:
        if isinstance(argument, tuple):
            return tuple(self._move(each) for each in argument)
        return self._move_ref(argument) if isinstance(argument, Ref) else argument

    def _move_ref(self, ref: Ref) -> Ref:
        return Ref(self._places[self._digest(ref.value)], ref.output)

    def _digest(self, value: int) -> str:
        return self.digests.digest(Ref(value))

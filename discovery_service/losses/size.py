"""How large a graph is, and about how much one example of it costs."""

import json
from dataclasses import dataclass

from discovery_service.losses.graph import Graph
from discovery_service.losses.operators import OPERATORS

_FREE = {
    *("view", "view_as", "reshape", "ravel", "expand", "expand_as", "permute", "transpose", "t", "numpy_T", "flatten"),
    *("unsqueeze", "squeeze", "select", "slice", "narrow", "diagonal", "unbind", "split", "chunk", "detach", "alias"),
    *("contiguous", "lift_fresh", "lift_fresh_copy", "broadcast_tensors", "positive"),
}
_ONE = {
    *("add", "sub", "rsub", "mul", "div", "neg", "abs", "sign", "square", "relu", "clamp", "clamp_min", "clamp_max"),
    *("minimum", "maximum", "eq", "ne", "lt", "le", "gt", "ge", "where", "masked_fill", "sum", "mean", "to", "clone"),
    *("logical_and", "logical_or", "logical_xor", "logical_not", "cat", "stack", "amax", "amin", "max", "min"),
}
_ELSEWHERE = 8
"""Functions, sorts, products: about that many times an addition, on a vector of a batch."""


@dataclass(frozen=True)
class GraphSize:
    nodes: int
    """That the result depends on."""
    bytes: int
    """Of its document as compact JSON."""
    cost: int
    """Elementary operations an example, where every intermediate is a row's; an addition is 1."""


def measure_graph(graph: Graph) -> GraphSize:
    first = len(graph.leaves)
    live = [graph.nodes[value - first].operation for value in graph.live_values() if value >= first]
    return GraphSize(
        nodes=len(live),
        bytes=len(json.dumps(graph.document(), separators=(",", ":"))),
        cost=sum(_find_cost(operation) for operation in live),
    )


def _find_cost(operation: str) -> int:
    if operation not in OPERATORS or OPERATORS[operation].packet in _FREE:
        return 0
    return 1 if OPERATORS[operation].packet in _ONE else _ELSEWHERE

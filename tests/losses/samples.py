"""For each operation, graphs that call it with arguments of all sorts, of which some fit."""

import itertools
from collections.abc import Callable, Iterator

from discovery_service.losses.operators import Kind, Operator, Parameter
from tests.losses.graphs import PAIR, Document, GraphMaker, Value, log_sigmoid, margin

_INTEGERS = {"steps": [4], "n": [2], "k": [1], "reduction": [0], "dim1": [1], "length": [2], "decimals": [1]}
_NUMBERS = {"min": [-0.5], "min_val": [-0.5], "low": [-0.5]}
_TEXTS = {"equation": ["i,i->", "ij->ji", "i->"], "rounding_mode": ["floor", "trunc"]}


def weigh_by_place(maker: GraphMaker, value: Value) -> Value:
    """One number in which each element counts by its place."""
    flat = maker.node("aten.reshape.default", maker.node("aten.to.dtype", value, {"t": "float64"}), [-1])
    kept = maker.node("aten.nan_to_num.default", maker.node("aten.cumsum.default", flat, 0), 0.5, 2.5, -2.5)
    return maker.node("aten.mean.default", kept)


def documents_of(
    operator: Operator, *, with_options: bool, weigh: Callable[[GraphMaker, Value], Value] = weigh_by_place
) -> Iterator[Document]:
    """Losses that the operation's results flow into; `with_options` gives what has a default too."""
    parameters = [each for each in operator.parameters if each.is_required or with_options]
    for choice in itertools.product(*(range(len(_candidates(GraphMaker(PAIR), each))) for each in parameters)):
        maker = GraphMaker(PAIR)
        candidates = [_candidates(maker, each)[index] for each, index in zip(parameters, choice, strict=True)]
        pairs = list(zip(parameters, candidates, strict=True))
        given = [value for each, value in pairs if not each.is_keyword_only and each.is_required]
        named = {each.name: value for each, value in pairs if each.is_keyword_only or not each.is_required}
        result = maker.node(operator.name, *given, **named)
        outputs = [result] if operator.outputs == 1 else [result[index] for index in range(operator.outputs or 1)]
        loss = -log_sigmoid(maker.leaf(PAIR[0]))
        for each in outputs:
            loss = loss + weigh(maker, each)
        yield maker.returning(loss)


def _candidates(maker: GraphMaker, parameter: Parameter) -> list[object]:
    z = margin(maker)
    match parameter.kind:
        case Kind.TENSOR:
            return _tensors(maker, z, parameter.name)
        case Kind.TENSORS:
            return [[z, maker.leaf(PAIR[1])], [z]]
        case Kind.NUMBER:
            return list(_NUMBERS.get(parameter.name, [0.25, 2]))
        case Kind.INTEGER:
            return list(_INTEGERS.get(parameter.name, [0, 1]))
        case Kind.INTEGERS:
            return [[0], [-1], [2, 1]]
        case Kind.FLAG:
            return [True, False]
        case Kind.TEXT:
            return list(_TEXTS.get(parameter.name, ["nearest", "tanh"]))
        case Kind.DTYPE:
            return [{"t": "float64"}, {"t": "float32"}]
        case Kind.DEVICE:
            return [{"d": "in"}]


def _tensors(maker: GraphMaker, z: Value, name: str) -> list[object]:
    condition = z > 0
    rows, columns = maker.node("aten.unsqueeze.default", z, 1), maker.node("aten.unsqueeze.default", z, 0)
    matrix = rows * columns
    order = maker.node("aten.argsort.default", z)
    if name in ("condition", "mask"):
        return [condition]
    if name == "index":
        return [order]
    probability = maker.node("aten.select.int", maker.node("aten.sigmoid.default", z), 0, 0)
    stacked = maker.node("aten.stack.default", [matrix, matrix])
    tensors = [z, matrix, condition, maker.node("aten.select.int", z, 0, 0), stacked]
    return [probability] if name == "q" else tensors

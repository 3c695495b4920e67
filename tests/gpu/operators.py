"""Which of the operations that a graph may use have no deterministic version on a card, forwards or backwards. A loss
that needs one is refused there, because its measurements would not repeat."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from discovery_service.losses.graph import Graph, read_graph
from discovery_service.losses.operators import OPERATORS, Operator
from discovery_service.losses.refusals import Refused
from tests.losses.graphs import Document, GraphMaker, Value
from tests.losses.samples import documents_of
from tests.runtime.inputs import make_inputs
from workers.runtime.graph import Program
from workers.runtime.repeatable import repeatable

_MARK = "deterministic"
_EACH = 4
"""Of the graphs that fit an operation, so many with and so many without what has a default."""


@dataclass(frozen=True)
class Surveyed:
    """Operations by name, with what torch says of them."""

    tried: int
    without_deterministic: Mapping[str, str]
    failing: Mapping[str, str]
    """On the device, and not on a processor."""
    untried: Sequence[str]
    """Those for which no graph was found that has a gradient."""


def survey(device: torch.device, names: Sequence[str]) -> Surveyed:
    said = {name: [_try(graph, device) for graph in _list_fitting(OPERATORS[name])] for name in names}
    untried = [name for name, each in said.items() if not each]
    objections = {name: next((text for text in each if text), "") for name, each in said.items()}
    without = {name: text for name, text in objections.items() if _MARK in text}
    failing = {name: text for name, text in objections.items() if text and name not in without}
    return Surveyed(len(names) - len(untried), without, failing, untried)


def _list_fitting(operator: Operator) -> Iterator[Graph]:
    for with_options in (False, True):
        documents = documents_of(operator, with_options=with_options, weigh=_weigh_evenly)
        yield from islice(_read_fitting(documents), _EACH)


def _read_fitting(documents: Iterator[Document]) -> Iterator[Graph]:
    for document in documents:
        try:
            graph = read_graph(document)
        except Refused:
            continue
        # Of some torch says even here that they repeat nothing on a card.
        if _MARK in (_try(graph, torch.device("cpu")) or _MARK):
            yield graph


def _try(graph: Graph, device: torch.device) -> str | None:
    """What torch says against it."""
    given = make_inputs(graph.family, 7)
    inputs = {name: each.detach().to(device).requires_grad_(each.requires_grad) for name, each in given.items()}
    wanted = [each for each in inputs.values() if each.requires_grad]
    try:
        with repeatable():
            losses = Program(graph)(inputs)
            torch.autograd.grad(losses.sum(), wanted, allow_unused=True)
    except (Refused, RuntimeError) as error:
        # Behind it torch only says how one can do without.
        return str(error.__cause__ or error).strip().splitlines()[0].partition(", but you set")[0]
    return None


def _weigh_evenly(maker: GraphMaker, value: Value) -> Value:
    """With nothing but operations that are deterministic everywhere."""
    flat = maker.node("aten.reshape.default", maker.node("aten.to.dtype", value, {"t": "float64"}), [-1])
    return maker.node("aten.mean.default", maker.node("aten.nan_to_num.default", flat, 0.5, 2.5, -2.5))

"""The graph that is run computes what the gate has judged, within what float32 rounds, for every known loss."""

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses.described import list_described
from discovery_service.losses.execution import find_execution
from discovery_service.losses.graph import read_graph
from tests.losses.graphs import GOOD
from tests.runtime.inputs import make_inputs
from workers.runtime.graph import Program

LIBRARY = {name: each.graph for name, each in list_described(Family.PAIRWISE).items()}


@pytest.mark.parametrize("document", [*LIBRARY.values(), *GOOD.values()], ids=[*LIBRARY, *GOOD])
@pytest.mark.parametrize("rows", [3, 64])
def test_values_and_gradients_are_those_of_the_graph(document: dict[str, object], rows: int) -> None:
    graph = read_graph(document)
    found = []
    for each in (graph, find_execution(graph).graph):
        inputs = make_inputs(graph.family, rows)
        loss = Program(each)(inputs)
        policy = [tensor for tensor in inputs.values() if tensor.requires_grad]
        slopes = torch.autograd.grad(loss.sum(), policy, allow_unused=True)
        found.append([loss.detach(), *(each for each in slopes if each is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=2e-6)

"""The job `examine`: {graph} → what the graph computes on the fixed cases, and what the probes say about it."""

from collections.abc import Mapping
from typing import Any

from discovery_service.losses.graph import read_graph
from workers.jail.examine import examine_loss
from workers.jail.execute import compute_graph
from workers.runtime.graph import Program


def examine_request(request: Mapping[str, Any]) -> dict[str, Any]:
    graph = read_graph(request["graph"])
    program = Program(graph)
    program.check_shapes()
    return {**compute_graph(program), **examine_loss(program, graph.family).document()}

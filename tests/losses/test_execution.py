"""What is run for a loss: the same nodes for every graph of one hash."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.families import Family
from discovery_service.losses.canonical import hash_graph
from discovery_service.losses.described import list_described
from discovery_service.losses.execution import find_execution
from discovery_service.losses.graph import read_graph
from discovery_service.losses.nodes import MAX_NODES
from tests.losses.graphs import GOOD, PAIR, Document, GraphMaker, Value, dpo, exp, log_sigmoid, lrml, margin, sigmoid

LIBRARY = list_described(Family.PAIRWISE)


def _run(document: Document) -> Document:
    return find_execution(read_graph(document)).graph.document()


@pytest.mark.parametrize("name", GOOD)
def test_it_is_a_graph_of_the_same_hash_and_its_own_canonical_form(name: str) -> None:
    graph = read_graph(GOOD[name])
    execution = find_execution(graph)
    assert execution.sha256 == hash_graph(graph) == hash_graph(execution.graph)
    assert read_graph(execution.graph.document()) == execution.graph
    assert find_execution(execution.graph) == execution


def shuffle(document: Document, seed: int) -> Document:
    """The same loss with its nodes in another order, the terms of each sum and product swapped, and dead code."""
    chance = random.Random(seed)
    graph = read_graph(document)
    first = len(graph.leaves)
    nodes, places, made = document["nodes"], {value: value for value in range(first)}, []

    def moved(argument: Any) -> Any:
        if isinstance(argument, dict) and "r" in argument:
            return {**argument, "r": places[argument["r"]]}
        if isinstance(argument, dict) and "l" in argument:
            return {"l": [moved(each) for each in argument["l"]]}
        return argument

    left = list(range(len(nodes)))
    while left:
        ready = [each for each in left if all(ref.value in places for ref in graph.nodes[each].refs())]
        index = chance.choice(ready)
        left.remove(index)
        node = {**nodes[index], "a": [moved(each) for each in nodes[index]["a"]]}
        if "k" in node:
            node["k"] = {name: moved(each) for name, each in node["k"].items()}
        operands = node["a"]
        is_pair = len(operands) == 2 and all(isinstance(each, dict) and "r" in each for each in operands)
        if node["op"] in ("aten.add.Tensor", "aten.mul.Tensor") and is_pair and "k" not in node:
            chance.shuffle(operands)
        made.append(node)
        places[first + index] = first + len(made) - 1
    return {**document, "nodes": made, "out": moved(document["out"])}


@given(st.sampled_from(sorted(LIBRARY)), st.integers(0, 1000))
def test_another_order_runs_the_same_nodes(name: str, seed: int) -> None:
    document = LIBRARY[name].graph
    assert _run(shuffle(document, seed)) == _run(document)


def test_names_and_dead_code_and_what_is_computed_twice_are_not_run() -> None:
    maker = GraphMaker((*PAIR, "annotator", "beta"), hyperparameters={"unused": 3.0}, structural={"k": 1})
    exp(maker.leaf("annotator"))
    first, second = (maker.leaf("beta") * margin(maker) for _ in range(2))
    document = maker.returning(log_sigmoid(first) + sigmoid(second))
    run = _run(document)
    assert run["hyperparameters"] == []
    assert "annotator" not in run["inputs"]
    assert len(run["nodes"]) == 7
    renamed = lrml()
    renamed["hyperparameters"][0]["name"] = "temperature"
    assert _run(renamed) == _run(lrml())


@given(st.permutations(range(4)), st.booleans())
def test_terms_and_factors_are_taken_in_one_order(order: list[int], is_sum: bool) -> None:
    def chain(maker: GraphMaker, order: list[int]) -> Document:
        z = margin(maker)
        terms: list[Any] = [sigmoid(z), exp(z), maker.leaf("beta"), 2.0]
        first, *rest = (terms[index] for index in order)
        for each in rest:
            # A number is no first operand.
            one, other = (first, each) if isinstance(first, Value) else (each, first)
            first = one + other if is_sum else one * other
        return maker.returning(first)

    straight, other = (chain(GraphMaker((*PAIR, "beta")), each) for each in ([0, 1, 2, 3], order))
    assert _run(other) == _run(straight)


def test_a_graph_that_would_grow_too_long_is_run_as_it_is_under_a_hash_of_its_own() -> None:
    def document(is_swapped: bool) -> Document:
        """Many sums that share a long one, each with a term of its own that may come anywhere among its terms."""
        maker = GraphMaker((*PAIR, "beta"))
        z = margin(maker)
        shared = z
        for number in range(30):
            shared = shared + (z * float(number))
        total = None
        for number in range(30):
            one = sigmoid(z * (1000.0 + number))
            each = exp(one + shared if is_swapped else shared + one)
            total = each if total is None else total - each
        assert total is not None
        return maker.returning(total)

    one, other = (find_execution(read_graph(document(is_swapped))) for is_swapped in (False, True))
    assert len(document(False)["nodes"]) <= MAX_NODES
    assert one.graph.document() == document(False)
    assert hash_graph(one.graph) == hash_graph(other.graph)
    assert one.sha256 != other.sha256


def test_its_hash_is_the_one_that_the_gate_has_stored() -> None:
    assert find_execution(read_graph(dpo())).sha256 == hash_graph(read_graph(dpo()))

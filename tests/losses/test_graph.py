"""The reader takes what a compiler makes, and refuses everything else without a crash."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery_service.losses.arguments import Ref
from discovery_service.losses.graph import MAX_BYTES, read_graph
from discovery_service.losses.operators import SYNONYMS
from discovery_service.losses.refusals import RefusalCode, Refused
from discovery_service.losses.size import measure_graph
from tests.losses.graphs import GOOD, PAIR, Document, GraphMaker, dpo, log_sigmoid, margin, ranked, sigmoid


def _with(**changed: Any) -> Document:
    return copy.deepcopy(ranked() | changed)


def _and_node(op: Any, *given: Any, **named: Any) -> Document:
    """A graph of 4 inputs, beta, a constant and 16 nodes, the third of them a size, and this node."""
    document = ranked()
    return document | {"nodes": [*document["nodes"], {"op": op, "a": list(given), "k": named}]}


def _constant(dtype: Any, shape: Any, data: Any) -> Document:
    return _with(constants=[{"dtype": dtype, "shape": shape, "data": data}])


def _hyperparameter(name: Any, value: Any, structural: Any = True) -> Document:
    return _with(hyperparameters=[{"name": name, "value": value, "structural": structural}])


A, B, SIZE, PARTS, LAST = {"r": 0}, {"r": 1}, {"r": 10}, {"r": 11}, {"r": 22}
BAD: dict[str, Document] = {
    "another version": _with(v=2),
    "a version that is a float": _with(v=1.0),
    "a version that is a bool": _with(v=True),
    "another key": _with(more=1),
    "no family": _with(family="nobody"),
    "a family that is a list": _with(family=["pairwise"]),
    "another torch": _with(torch="2.12.1"),
    "an input of another family": _with(inputs=["outcomes"]),
    "inputs out of order": _with(inputs=["policy_rejected_logps", "policy_chosen_logps"]),
    "an input twice": _with(inputs=["policy_chosen_logps", "policy_chosen_logps"]),
    "an input that is a number": _with(inputs=[0]),
    "inputs that are a string": _with(inputs="beta"),
    "a hyper-parameter named as an input": _hyperparameter("beta", 1),
    "a hyper-parameter named as a keyword": _hyperparameter("lambda", 1),
    "a hyper-parameter named as a module": _hyperparameter("torch", 1),
    "a hyper-parameter that is code": _hyperparameter("a=print(1)", 1),
    "a hyper-parameter that is true": _hyperparameter("tau", True),
    "a hyper-parameter of no number": _hyperparameter("tau", {"f": "inf"}),
    "a hyper-parameter out of range": _hyperparameter("tau", 10**400),
    "a hyper-parameter that may be structural": _hyperparameter("tau", 1, 0),
    "two hyper-parameters of one name": _with(hyperparameters=[{"name": "t", "value": 1, "structural": True}] * 2),
    "33 hyper-parameters": _with(
        hyperparameters=[{"name": f"t{i}", "value": 1, "structural": True} for i in range(33)]
    ),
    "a constant of another dtype": _constant("complex64", [1], [1]),
    "a constant that does not fill its shape": _constant("float32", [3], [1]),
    "a constant of negative size": _constant("float32", [-1, -1], [1]),
    "a constant of 5 dimensions": _constant("float32", [1] * 5, [1]),
    "a constant of 1025 elements": _constant("float32", [1025], [0.0] * 1025),
    "a float in a constant of integers": _constant("int64", [1], [1.5]),
    "a bool in a constant of integers": _constant("int64", [1], [True]),
    "an integer in a constant of bools": _constant("bool", [1], [1]),
    "an integer out of range": _constant("int32", [1], [1 << 31]),
    "a list in a constant": _constant("float32", [1], [[1.0]]),
    "17 constants": _with(constants=[{"dtype": "bool", "shape": [], "data": [True]}] * 17),
    "nodes that are a dictionary": _with(nodes={}),
    "a node that is a list": _with(nodes=[[]]),
    "a reference to a later value": _and_node("aten.neg.default", LAST),
    "a reference to before the first": _and_node("aten.neg.default", {"r": -1}),
    "a reference that is a bool": _and_node("aten.neg.default", {"r": True}),
    "a reference that is a float": _and_node("aten.neg.default", {"r": 1.0}),
    "a reference by name": _and_node("aten.neg.default", {"r": "policy_chosen_logps"}),
    "a reference with another key": _and_node("aten.neg.default", {"r": 0, "x": 1}),
    "several results as one value": _and_node("aten.neg.default", PARTS),
    "one result of one": _and_node("aten.neg.default", {"r": 0, "o": 0}),
    "a third result of two": _and_node("aten.neg.default", {"r": 11, "o": 2}),
    "a size as a tensor": _and_node("aten.neg.default", SIZE),
    "a tensor as a number": _and_node("aten.softplus.default", A, B),
    "a number for the first tensor": _and_node("aten.add.Tensor", 1.0, A),
    "a bool as an integer": _and_node("aten.sum.dim_IntList", A, {"l": [True]}),
    "an integer as a bool": _and_node("aten.sum.dim_IntList", A, {"l": [0]}, 1),
    "an integer as a dtype": _and_node("aten.to.dtype", A, -1),
    "a dtype that is none": _and_node("aten.to.dtype", A, {"t": "complex64"}),
    "a dtype that is a list": _and_node("aten.to.dtype", A, {"t": []}),
    "a device": _and_node("aten.ones.default", {"l": [2]}, device={"d": "cuda:7"}),
    "a device by name": _and_node("aten.ones.default", {"l": [2]}, device="cpu"),
    "a layout": _and_node("aten.ones.default", {"l": [2]}, layout=1),
    "pinned memory": _and_node("aten.ones.default", {"l": [2]}, pin_memory=True),
    "an argument too many": _and_node("aten.neg.default", A, B),
    "an argument too few": _and_node("aten.sub.Tensor", A),
    "an argument twice": _and_node("aten.sub.Tensor", A, B, other=B),
    "an argument that is not taken": _and_node("aten.sub.Tensor", A, B, out=A),
    "null for a tensor": _and_node("aten.sub.Tensor", A, None),
    "a size of 2**21": _and_node("aten.ones.default", {"l": [1 << 21]}),
    "a number of 4000 digits": _and_node("aten.mul.Tensor", A, 10**4000),
    "an infinite number": _and_node("aten.mul.Tensor", A, float("inf")),
    "a list of 65": _and_node("aten.cat.default", {"l": [A] * 65}),
    "a list in a list": _and_node("aten.cat.default", {"l": [{"l": [A]}]}),
    "a plain list": _and_node("aten.cat.default", [A]),
    "a word that is no rounding": _and_node("aten.div.Tensor_mode", A, B, rounding_mode="linear"),
    "einsum of three": _and_node("aten.einsum.default", "a,b,c->abc", {"l": [A, A, A]}),
    "einsum of five letters": _and_node("aten.einsum.default", "ab,cde->a", {"l": [A, A]}),
    "einsum of dots": _and_node("aten.einsum.default", "...,...->...", {"l": [A, A]}),
    "diff of a million steps": _and_node("aten.diff.default", A, 1 << 20),
    "diff of a size's steps": _and_node("aten.diff.default", A, SIZE),
    "a reduction that is none": _and_node("aten.mse_loss.default", A, B, 7),
    "ng that is a number": _with(nodes=[{"op": "aten.neg.default", "a": [A], "ng": 1}]),
    "size arithmetic on a tensor": _and_node("sym_add", A, 1),
    "size arithmetic on one": _and_node("sym_add", 1),
    "size arithmetic by name": _and_node("sym_add", 1, 1, left=2),
    "a size of a number": _and_node("sym_size", 3, 0),
    "a result that is a size": _with(out=SIZE),
    "a result that is several": _with(out=PARTS),
    "a result that is not there": _with(out=LAST),
    "no result": _with(out=None),
}
NOT_ALLOWED = [
    *("aten.from_file.default", "aten.as_strided.default", "aten.set_.source_Tensor", "aten.mul_.Tensor"),
    *("aten.add.out", "aten.resize.default", "aten.empty.memory_format", "aten.empty_like.default"),
    *("aten.item.default", "aten.index.Tensor", "aten.nonzero.default", "aten.binary_cross_entropy.default"),
    *("aten.rand_like.default", "aten.randn_like.default", "aten.dropout.default", "aten.bernoulli.default"),
    *("os.system", "aten.__class__", "aten", "", "aten.neg.default\0", "prim.device.default", "sym_shl"),
]


def _refusal(read: Callable[[], object]) -> tuple[RefusalCode, str]:
    with pytest.raises(Refused) as caught:
        read()
    (refusal,) = caught.value.refusals
    return refusal.code, refusal.message


@pytest.mark.parametrize("name", GOOD)
def test_a_good_document_is_read_and_written_back(name: str) -> None:
    document = GOOD[name]
    graph = read_graph(document)
    assert read_graph(json.loads(json.dumps(document))) == graph
    assert read_graph(graph.document()) == graph


@pytest.mark.parametrize("document", BAD.values(), ids=BAD)
def test_a_bad_document_is_refused(document: Document) -> None:
    code, message = _refusal(lambda: read_graph(document))
    assert code is RefusalCode.BAD_GRAPH
    assert message.startswith("The graph is malformed: ")


@pytest.mark.parametrize("operation", NOT_ALLOWED)
def test_an_operation_off_the_list_is_refused_by_name(operation: str) -> None:
    code, message = _refusal(lambda: read_graph(_and_node(operation, A)))
    assert code is RefusalCode.OPERATION_NOT_ALLOWED
    assert operation.replace("\0", r"\x00") in message


def test_a_name_that_cannot_be_written_is_shown_escaped() -> None:
    message = _refusal(lambda: read_graph(_and_node("\ud800" + "x" * 500, A)))[1]
    assert message.isascii()
    assert "ud800" in message
    assert len(message) < 200


def test_constants_have_room_within_the_bytes_of_a_graph() -> None:
    """Each may have 1,024 numbers, and there may be 16; but not with as many digits as there are."""
    constants = [{"dtype": "float64", "shape": [1024], "data": [each + 0.125] * 1024} for each in range(16)]
    code, message = _refusal(lambda: read_graph(_with(constants=constants, nodes=[], out=A)))
    assert code is RefusalCode.TOO_MUCH_MEMORY
    assert str(MAX_BYTES) in message
    assert len(read_graph(_with(constants=constants[:4], nodes=[], out=A)).constants) == 4


def test_more_than_256_nodes_are_refused_with_their_number() -> None:
    node = {"op": "aten.neg.default", "a": [A]}
    assert len(read_graph(_with(nodes=[node] * 256, out=A)).nodes) == 256
    code, message = _refusal(lambda: read_graph(_with(nodes=[node] * 257)))
    assert code is RefusalCode.TOO_MANY_NODES
    assert "257" in message


def test_a_loss_without_the_policy_is_refused_as_not_differentiable() -> None:
    maker = GraphMaker(("reference_chosen_logps", "beta"))
    document = maker.returning(sigmoid(maker.leaf("reference_chosen_logps")))
    assert _refusal(lambda: read_graph(document))[0] is RefusalCode.NOT_DIFFERENTIABLE


def test_an_input_may_be_the_result() -> None:
    assert read_graph(GraphMaker(PAIR).document | {"out": A}).out == Ref(0)


def test_values_count_inputs_then_free_hyperparameters_then_constants_then_nodes() -> None:
    constant = {"dtype": "float32", "shape": [], "data": [2.0]}
    maker = GraphMaker(PAIR, hyperparameters={"tau": 0.5}, structural={"k": 3}, constants=[constant])
    document = maker.returning(sigmoid(margin(maker) / maker.leaf("tau")) * maker.constant(0))
    graph = read_graph(document)
    assert [type(leaf).__name__ for leaf in graph.leaves] == ["str"] * 4 + ["Hyperparameter", "Constant"]
    assert graph.nodes[0].arguments == {"self": Ref(0), "other": Ref(1)}
    assert graph.nodes[3].arguments["other"] == Ref(4)
    assert [each.name for each in graph.free_hyperparameters] == ["tau"]


def test_what_equals_the_default_is_as_good_as_left_out() -> None:
    maker = GraphMaker(PAIR)
    plain = maker.returning(maker.node("aten.softplus.default", maker.leaf(PAIR[0])))
    maker = GraphMaker(PAIR)
    given = maker.returning(maker.node("aten.softplus.default", maker.leaf(PAIR[0]), 1, threshold=20))
    assert read_graph(given) == read_graph(plain)
    maker = GraphMaker(PAIR)
    other = maker.returning(maker.node("aten.softplus.default", maker.leaf(PAIR[0]), 2))
    assert read_graph(other) != read_graph(plain)


def test_a_lone_integer_stands_for_a_list_of_one() -> None:
    maker = GraphMaker(PAIR)
    alone = maker.returning(
        maker.node("aten.cumsum.default", maker.node("aten.roll.default", maker.leaf(PAIR[0]), 1), 0)
    )
    assert read_graph(alone).nodes[0].arguments["shifts"] == (1,)


@pytest.mark.parametrize(("synonym", "meant"), [("aten.subtract.Tensor", "aten.sub.Tensor"), ("aten.max.other", None)])
def test_a_synonym_is_read_as_what_it_stands_for(synonym: str, meant: str | None) -> None:
    maker = GraphMaker(PAIR)
    document = maker.returning(maker.node(synonym, maker.leaf(PAIR[0]), maker.leaf(PAIR[1])))
    assert read_graph(document).nodes[0].operation == (meant or SYNONYMS[synonym])


def test_special_floats_survive() -> None:
    maker = GraphMaker(PAIR)
    value = maker.leaf(PAIR[0])
    for special in ("inf", "-inf", "nan"):
        value = maker.node("aten.maximum.default", value, {"f": special})
    document = maker.returning(value)
    assert read_graph(document).document() == document


def test_the_size_counts_what_the_result_needs() -> None:
    graph = read_graph(dpo())
    size = measure_graph(graph)
    assert size.nodes == 6
    assert size.bytes == len(json.dumps(dpo(), separators=(",", ":")))
    maker = GraphMaker((*PAIR, "beta"))
    z = maker.leaf("beta") * margin(maker)
    sigmoid(z)
    with_dead_code = measure_graph(read_graph(maker.returning(-log_sigmoid(z))))
    assert (with_dead_code.nodes, with_dead_code.cost) == (size.nodes, size.cost)
    assert with_dead_code.bytes > size.bytes


def test_reading_needs_no_torch() -> None:
    modules = ("canonical", "formula", "graph", "printer", "size")
    names = ", ".join(f"discovery_service.losses.{name}" for name in modules)
    check = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_KEYS = st.sampled_from(["r", "o", "f", "t", "d", "l", "op", "a", "k", "ng", "name", "value", "structural"]) | st.text(
    max_size=5
)
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_KEYS, inner, max_size=5), max_leaves=20
)


@given(_ANYTHING)
def test_any_value_is_read_or_refused(value: object) -> None:
    _refusal(lambda: read_graph(value))


@given(st.sampled_from(sorted(GOOD)), st.data())
@settings(max_examples=300)
def test_anything_in_any_place_is_read_or_refused(name: str, data: st.DataObject) -> None:
    document: Any = copy.deepcopy(GOOD[name])
    place = document
    while True:
        key: Any = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not (isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = data.draw(_ANYTHING)
    try:
        graph = read_graph(document)
    except Refused as refused:
        messages = str(refused)
    else:
        messages = ""
        assert read_graph(graph.document()) == graph
    assert messages.isascii()

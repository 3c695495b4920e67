"""The hash is one for graphs that compute the same by the same operations, and another for any other."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.families import Family
from discovery_service.losses.canonical import hash_graph
from discovery_service.losses.graph import read_graph
from tests.losses.graphs import (
    GOOD,
    PAIR,
    Document,
    GraphMaker,
    Value,
    dpo,
    exp,
    held_gate,
    log_sigmoid,
    lrml,
    margin,
    sigmoid,
)


def _hash(document: Document) -> str:
    return hash_graph(read_graph(document))


def _loss(make: Callable[[GraphMaker, Value], Value], **settings: Any) -> str:
    """The hash of what is made from the margin."""
    maker = GraphMaker((*PAIR, "annotator", "beta"), **settings)
    return _hash(maker.returning(make(maker, margin(maker))))


def test_it_is_a_sha256_and_stable() -> None:
    # What is stored has to be found again: a change of this value needs every stored hash to be made anew.
    assert _hash(dpo()) == "219b2d832ee20bfcc1b2a0ad17d0bf463f3ad7356e3bdbfb07bbd04dee68ca8a"


def test_all_good_graphs_differ() -> None:
    assert len({_hash(document) for document in GOOD.values()}) == len(GOOD)


def test_names_of_hyperparameters_do_not_count_and_their_defaults_do() -> None:
    renamed = copy.deepcopy(lrml())
    renamed["hyperparameters"][0]["name"] = "temperature"
    assert _hash(renamed) == _hash(lrml())
    assert _hash(lrml(tau=0.06)) != _hash(lrml())


def test_an_integer_default_is_the_float_that_it_becomes() -> None:
    assert _hash(lrml(tau=1)) == _hash(lrml(tau=1.0))


def test_a_hyperparameter_is_no_constant() -> None:
    as_number = _loss(lambda _, z: sigmoid(z * 0.5))
    as_hyperparameter = _loss(lambda maker, z: sigmoid(z * maker.leaf("tau")), hyperparameters={"tau": 0.5})
    assert as_number != as_hyperparameter


def test_dead_code_does_not_count() -> None:
    maker = GraphMaker((*PAIR, "beta", "progress"), hyperparameters={"unused": 3.0}, structural={"k": 1})
    sigmoid(maker.leaf("progress"))
    z = maker.leaf("beta") * margin(maker)
    exp(z)
    assert _hash(maker.returning(-log_sigmoid(z))) == _hash(dpo())


def test_the_order_of_nodes_does_not_count() -> None:
    maker = GraphMaker((*PAIR, "beta"))
    pc, pr, rc, rr, beta = (maker.leaf(name) for name in (*PAIR, "beta"))
    reference = rc - rr
    policy = pc - pr
    assert _hash(maker.returning(-log_sigmoid(beta * (policy - reference)))) == _hash(dpo())


@pytest.mark.parametrize(
    "operation",
    [
        *("aten.add.Tensor", "aten.mul.Tensor", "aten.maximum.default", "aten.minimum.default"),
        *("aten.eq.Tensor", "aten.logaddexp.default", "aten.max.other"),
    ],
)
def test_operands_that_commute_may_change_places(operation: str) -> None:
    one = _loss(lambda maker, z: z + maker.node(operation, sigmoid(z), exp(z)))
    other = _loss(lambda maker, z: z + maker.node(operation, exp(z), sigmoid(z)))
    assert one == other


@pytest.mark.parametrize(
    "operation", ["aten.sub.Tensor", "aten.div.Tensor", "aten.lt.Tensor", "aten.pow.Tensor_Tensor"]
)
def test_operands_of_others_may_not(operation: str) -> None:
    one = _loss(lambda maker, z: z + maker.node(operation, sigmoid(z), exp(z)))
    other = _loss(lambda maker, z: z + maker.node(operation, exp(z), sigmoid(z)))
    assert one != other


def test_a_scaled_second_term_keeps_its_place() -> None:
    one = _loss(lambda maker, z: maker.node("aten.add.Tensor", sigmoid(z), exp(z), alpha=2))
    other = _loss(lambda maker, z: maker.node("aten.add.Tensor", exp(z), sigmoid(z), alpha=2))
    assert one != other


def test_a_comparison_may_be_read_from_either_side() -> None:
    one = _loss(lambda maker, z: z + maker.node("aten.gt.Tensor", sigmoid(z), exp(z)))
    other = _loss(lambda maker, z: z + maker.node("aten.lt.Tensor", exp(z), sigmoid(z)))
    assert one == other


@given(st.permutations(range(4)), st.booleans())
def test_terms_and_factors_may_stand_in_any_order(order: list[int], is_sum: bool) -> None:
    def chain(maker: GraphMaker, z: Value) -> Value:
        terms: list[Any] = [sigmoid(z), exp(z), maker.leaf("beta"), log_sigmoid(z)]
        first, *rest = (terms[index] for index in order)
        for each in rest:
            first = first + each if is_sum else first * each
        return first

    def nested(maker: GraphMaker, z: Value) -> Value:
        a, b, c, d = sigmoid(z), exp(z), maker.leaf("beta"), log_sigmoid(z)
        return (a + b) + (c + d) if is_sum else (a * b) * (c * d)

    assert _loss(chain) == _loss(nested)


def test_sums_of_truth_values_are_no_chains() -> None:
    # True + True is True, and 2 where a float comes between.
    one = _loss(lambda _, z: ((z > 0) + (z > 1)) + z)
    other = _loss(lambda _, z: (z > 0) + ((z > 1) + z))
    assert one != other


def test_a_chain_that_doubles_itself_takes_no_time() -> None:
    def double(_: GraphMaker, z: Value) -> Value:
        for _step in range(240):
            z = z + z
        return z

    assert _loss(double) != _loss(lambda maker, z: double(maker, z + 1))


def test_every_number_counts() -> None:
    hashes = {_loss(lambda _, z, number=number: sigmoid(z * number)) for number in (0.1, 0.1001, 1, 1.0, True, -0.1)}
    assert len(hashes) == 6


def test_a_constant_counts_by_its_data_its_shape_and_its_dtype() -> None:
    variants = [("float32", [1], [0.5]), ("float32", [1], [0.25]), ("float64", [1], [0.5]), ("float32", [], [0.5])]
    hashes = {
        _loss(lambda maker, z: z * maker.constant(0), constants=[{"dtype": dtype, "shape": shape, "data": data}])
        for dtype, shape, data in variants
    }
    assert len(hashes) == len(variants)


def test_what_holds_back_a_gradient_counts() -> None:
    without = copy.deepcopy(held_gate())
    for node in without["nodes"]:
        node.pop("ng", None)
    assert _hash(without) != _hash(held_gate())
    plain, held = _loss(lambda _, z: z * sigmoid(z)), _loss(lambda m, z: z * m.node("aten.detach.default", sigmoid(z)))
    assert plain != held


def test_inputs_and_operations_count() -> None:
    assert _loss(lambda maker, z: z * maker.leaf("beta")) != _loss(lambda maker, z: z * maker.leaf("annotator"))
    assert _loss(lambda _, z: sigmoid(z)) != _loss(lambda _, z: exp(z))


def test_which_of_several_results_counts() -> None:
    def part(output: int) -> str:
        return _loss(lambda maker, z: z + maker.node("aten.sort.default", z)[output])

    assert part(0) != part(1)


def test_the_same_nodes_in_another_family_are_another_loss() -> None:
    maker = GraphMaker((*PAIR, "beta"), family=Family.AUXILIARY)
    assert _hash(maker.returning(-log_sigmoid(maker.leaf("beta") * margin(maker)))) != _hash(dpo())


def test_the_build_of_torch_does_not_count() -> None:
    assert _hash(dpo() | {"torch": "2.13.0+cu130"}) == _hash(dpo())


def test_an_option_by_place_is_the_option_by_name() -> None:
    by_place = _loss(lambda maker, z: z + maker.node("aten.sum.dim_IntList", z, [0], True))
    by_name = _loss(lambda maker, z: z + maker.node("aten.sum.dim_IntList", z, [0], keepdim=True))
    assert by_place == by_name

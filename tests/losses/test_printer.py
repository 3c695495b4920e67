"""The printed source computes what the graph computes, and reads like a loss."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (as every loss names it)

from discovery_service.domain.families import Family
from discovery_service.losses.canonical import hash_graph
from discovery_service.losses.graph import read_graph
from discovery_service.losses.known import list_known
from discovery_service.losses.operators import OPERATORS, SYNONYMS
from discovery_service.losses.printer import print_graph
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import check_source
from tests.jail.compiler.sources import ACCEPTED, OTHER_FAMILIES
from tests.losses.graphs import (
    GOOD,
    PAIR,
    Document,
    GraphMaker,
    dpo,
    held_gate,
    ipo,
    log_sigmoid,
    lrml,
    margin,
    sigmoid,
)
from tests.losses.samples import documents_of
from tests.runtime.inputs import make_inputs
from workers.jail.compiler import compile_source
from workers.runtime.graph import Program


def _run(source: str) -> Callable[..., torch.Tensor]:
    scope: dict[str, object] = {"torch": torch, "F": F, "math": math}
    exec(compile(source, "<printed>", "exec"), scope)
    loss = scope["loss"]
    assert callable(loss)
    return loss


def _given(document: Document, rows: int) -> dict[str, torch.Tensor]:
    inputs = make_inputs(document["family"], rows)
    return {name: inputs[name] for name in document["inputs"]}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("rows", [2, 7])
def test_the_source_has_the_value_and_the_gradients_of_the_graph(name: str, rows: int) -> None:
    graph = read_graph(GOOD[name])
    results = []
    for loss in (Program(graph), lambda given: _run(print_graph(graph))(**given)):
        given = _given(GOOD[name], rows)
        policy = [each for each in given.values() if each.requires_grad]
        value = loss(given)
        results.append((value.detach(), *torch.autograd.grad(value.sum(), policy, allow_unused=True)))
    for ours, theirs in zip(*results, strict=True):
        assert (ours is None and theirs is None) or torch.equal(ours, theirs)


@pytest.mark.filterwarnings("ignore:reduction", "ignore:Using a target size", "ignore:.*degrees of freedom")
@pytest.mark.parametrize("operation", OPERATORS)
@pytest.mark.parametrize("with_options", [False, True])
def test_every_operation_is_written_as_what_it_is(operation: str, with_options: bool) -> None:
    inputs = {name: each.detach() for name, each in make_inputs("pairwise", 3).items() if name in PAIR}
    for document in documents_of(OPERATORS[operation], with_options=with_options):
        try:
            graph = read_graph(document)
            computed = Program(graph)(inputs)
        except Refused:
            continue
        torch.testing.assert_close(_run(print_graph(graph))(**inputs), computed, rtol=0, atol=0, equal_nan=True)
        return
    assert operation.startswith("aten.clamp."), "clamp without any bound is all that fits nothing"


RECOMPILED_OTHERWISE = {"number_of_pairs"}
"""A size of an intermediate result is read off another tensor of that size."""
SAMPLES = {
    **{f"known {each.name}": (each.text, each.family) for family in Family for each in list_known(family)},
    **{title: (text, Family.PAIRWISE) for title, text in ACCEPTED.items()},
    **{title: (text, family) for title, (family, text) in OTHER_FAMILIES.items()},
}


@pytest.mark.parametrize("title", SAMPLES)
def test_the_printed_source_is_a_loss_again_and_the_same_one(title: str) -> None:
    text, family = SAMPLES[title]
    graph = read_graph(compile_source(check_source(text, family)))
    again = read_graph(compile_source(check_source(print_graph(graph), family)))
    assert (hash_graph(again) == hash_graph(graph)) is (title not in RECOMPILED_OTHERWISE)


def test_parts_of_any_dimension_are_written_as_parts() -> None:
    maker = GraphMaker(PAIR)
    pair = maker.node("aten.stack.default", [maker.leaf(PAIR[0]), maker.leaf(PAIR[1])], dim=1)
    part = maker.node("aten.slice.Tensor", pair, 1, 1, (1 << 63) - 1)
    source = print_graph(read_graph(maker.returning(maker.node("aten.sum.dim_IntList", part, [1]))))
    assert "[:, 1:]" in source
    assert "922337" not in source


def test_temporaries_have_names_that_mean_something() -> None:
    assert print_graph(read_graph(dpo())).splitlines()[2:] == [
        "    policy_margin = policy_chosen_logps - policy_rejected_logps",
        "    reference_margin = reference_chosen_logps - reference_rejected_logps",
        "    margin = policy_margin - reference_margin",
        "    scaled_margin = beta * margin",
        "    return -F.logsigmoid(scaled_margin)",
    ]


def test_hyperparameters_are_keywords_with_their_defaults() -> None:
    assert "    *,\n    tau=0.05,\n" in print_graph(read_graph(lrml()))
    inputs = _given(lrml(), 3)
    plain = {name: each.item() if each.dim() == 0 else each for name, each in inputs.items()}
    loss = _run(print_graph(read_graph(lrml())))
    changed = Program(read_graph(lrml()))(inputs, {"tau": 0.5})
    torch.testing.assert_close(loss(**plain, tau=0.5), changed)
    assert not torch.allclose(loss(**plain), changed)


def test_a_structural_hyperparameter_is_told_of_and_no_parameter() -> None:
    maker = GraphMaker(PAIR, structural={"steps": 3})
    source = print_graph(read_graph(maker.returning(sigmoid(margin(maker)))))
    assert "Compiled in: steps = 3." in source
    assert "steps=" not in source


def test_plain_floats_serve_even_where_only_a_tensor_would() -> None:
    maker = GraphMaker((*PAIR, "beta"), hyperparameters={"tau": 0.5})
    bound = maker.node("aten.exp.default", maker.leaf("tau") * maker.leaf("beta"))
    graph = read_graph(maker.returning(maker.node("aten.maximum.default", margin(maker), bound)))
    inputs = _given(maker.document, 3)
    plain = {name: each.item() if each.dim() == 0 else each for name, each in inputs.items()}
    assert torch.equal(_run(print_graph(graph))(**plain), Program(graph)(inputs))


def test_what_was_computed_without_a_gradient_stands_under_no_grad() -> None:
    lines = print_graph(read_graph(held_gate())).splitlines()
    inside = lines[lines.index("    with torch.no_grad():") + 1]
    assert inside.startswith("        ")
    assert "torch.mean(" in inside


def test_a_temporary_takes_no_name_that_is_taken() -> None:
    maker = GraphMaker(PAIR, hyperparameters={"margin": 1.0, "sigmoid_value": 2.0, "loss": 3.0})
    z = margin(maker)
    gate = sigmoid(z * maker.leaf("margin"))
    graph = read_graph(maker.returning((z + gate + gate * maker.leaf("sigmoid_value")) * maker.leaf("loss")))
    inputs = _given(maker.document, 3)
    assert torch.equal(_run(print_graph(graph))(**inputs), Program(graph)(inputs))


def test_one_by_a_number_is_written_without_what_torch_adds() -> None:
    assert print_graph(read_graph(ipo())).splitlines()[-1] == "    return (margin - 1 / (beta * 2)) ** 2"


def test_operands_that_make_a_line_too_long_get_lines_of_their_own() -> None:
    maker = GraphMaker((*PAIR, "beta"))
    pc, pr, beta = maker.leaf(PAIR[0]), maker.leaf(PAIR[1]), maker.leaf("beta")
    condition = maker.node("aten.gt.Tensor", pc, pr)
    choice = maker.node("aten.where.self", condition, -log_sigmoid(pc * beta), -log_sigmoid(pr * beta))
    source = print_graph(read_graph(maker.returning(choice)))
    assert "    condition = policy_chosen_logps > policy_rejected_logps\n" in source
    assert max(map(len, source.splitlines()[1:])) <= 100


def test_a_long_chain_is_broken_into_lines() -> None:
    maker = GraphMaker(PAIR)
    value = margin(maker)
    for _ in range(100):
        value = sigmoid(-value)
    assert max(map(len, print_graph(read_graph(maker.returning(value))).splitlines())) <= 110


@pytest.mark.parametrize("base", [-2, -0.5])
def test_a_negative_number_keeps_its_brackets(base: float) -> None:
    maker = GraphMaker(PAIR)
    power = maker.node("aten.pow.Scalar", base, maker.node("aten.floor.default", margin(maker)))
    graph = read_graph(maker.returning(power + maker.leaf(PAIR[0])))
    inputs = _given(maker.document, 7)
    torch.testing.assert_close(_run(print_graph(graph))(**inputs), Program(graph)(inputs), equal_nan=True)


def test_a_synonym_is_printed_as_what_it_stands_for() -> None:
    maker = GraphMaker(PAIR)
    pc, pr = maker.leaf(PAIR[0]), maker.leaf(PAIR[1])
    assert SYNONYMS["aten.subtract.Tensor"] == "aten.sub.Tensor"
    source = print_graph(read_graph(maker.returning(maker.node("aten.subtract.Tensor", pc, pr))))
    assert source.endswith("return policy_margin\n") or source.endswith("policy_chosen_logps - policy_rejected_logps\n")

"""A short graph is shown as a formula that reads as in the papers; a long one is not."""

# ruff: noqa: RUF001 (the letters of the formulas)

from collections.abc import Callable

import pytest

from discovery_service.losses.formula import MAX_LENGTH, find_formula
from discovery_service.losses.graph import read_graph
from tests.losses.graphs import GOOD, PAIR, GraphMaker, Value, exp, log_sigmoid, margin, relu, sigmoid

FORMULAS = {
    "dpo": "-log σ(β·((πc − πr) − (ρc − ρr)))",
    "ipo": "((πc − πr) − (ρc − ρr) − 1/(2·β))²",
    "slic": "max(0, 1 − β·((πc − πr) − (ρc − ρr)))",
    "exponential": "exp(-β·((πc − πr) − (ρc − ρr)))",
    "simpo": "-log σ(β·(πc/|c| − πr/|r|) − γ)",
    "lrml": "-(1 − σ(u/τ))·log σ(u) + exp(-u)·σ(u/τ), where u = β·((πc − πr) − (ρc − ρr))",
    "held_gate": "-log σ(u)·sg(σ(u − mean(u))), where u = β·((πc − πr) − (ρc − ρr))",
    "kto_pair": "cat(1 − σ(β·(πc − ρc − max(0, mean(πr − ρr)))), 1 − σ(β·(max(0, mean(πc − ρc)) − (πr − ρr))))",
    "ranked": None,
    "matching": "-(w − mv(u, w)/sum(u, 1))·sum(π·mask, 1), "
    "where w = r − β·sg(sum((π − ρ)·mask, 1)), u = [unsqueeze(group, 1) = unsqueeze(group, 0)]",
    "outcome": "-exp(π − b)·y",
}


@pytest.mark.parametrize("name", GOOD)
def test_known_shapes_read_as_in_the_papers(name: str) -> None:
    assert find_formula(read_graph(GOOD[name])) == FORMULAS[name]


def _formula(make: Callable[[GraphMaker, Value, Value], Value]) -> str | None:
    maker = GraphMaker((*PAIR, "beta"), hyperparameters={"weight": 2.0})
    return find_formula(read_graph(maker.returning(make(maker, maker.leaf(PAIR[0]), maker.leaf("beta")))))


@pytest.mark.parametrize(
    ("make", "formula"),
    [
        (lambda m, a, b: (a + b) * b, "(πc + β)·β"),
        (lambda m, a, b: a + b * b, "πc + β·β"),
        (lambda m, a, b: a - (b - a), "πc − (β − πc)"),
        (lambda m, a, b: a - b - a, "πc − β − πc"),
        (lambda m, a, b: a / (b * b), "πc/(β·β)"),
        (lambda m, a, b: -(a + b), "-(πc + β)"),
        (lambda m, a, b: a + -b, "πc − β"),
        (lambda m, a, b: a - -b, "πc + β"),
        (lambda m, a, b: -a * b, "-πc·β"),
        (lambda m, a, b: a * -0.5, "-0.5·πc"),
        (lambda m, a, b: (a * b) ** 2, "(πc·β)²"),
        (lambda m, a, b: sigmoid(a) ** 3, "σ(πc)³"),
        (lambda m, a, b: log_sigmoid(a) ** 2, "(log σ(πc))²"),
        (lambda m, a, b: a**0.5, "πc^0.5"),
        (lambda m, a, b: a * m.leaf("weight"), "πc·weight"),
        (lambda m, a, b: m.node("aten.where.self", a > 0, relu(a), exp(a)), "(max(0, πc) if πc > 0 else exp(πc))"),
        (lambda m, a, b: a * m.node("aten.to.dtype", a > 0, {"t": "float32"}), "πc·[πc > 0]"),
        (lambda m, a, b: a * m.node("aten.detach.default", exp(a)), "πc·sg(exp(πc))"),
        (lambda m, a, b: m.node("aten.clamp.default", a, None, 2), "min(2, πc)"),
        (lambda m, a, b: m.node("aten.clamp.default", a, -1, 2), "clamp(πc, -1, 2)"),
        (lambda m, a, b: m.node("aten.softplus.default", -a), "log(1 + exp(-πc))"),
        (lambda m, a, b: m.node("aten.quantile.scalar", a, 0.25) + a, "quantile(πc, 0.25) + πc"),
    ],
)
def test_brackets_stand_where_they_are_needed(make: Callable[[GraphMaker, Value, Value], Value], formula: str) -> None:
    assert _formula(make) == formula


def test_more_than_200_characters_are_no_formula() -> None:
    def chain(length: int) -> str | None:
        return _formula(lambda _, a, b: _repeat(a, b, length))

    short = chain(10)
    assert short is not None
    assert len(short) <= MAX_LENGTH
    assert chain(100) is None


def _repeat(value: Value, step: Value, length: int) -> Value:
    for _ in range(length):
        value = value + step
    return value


def test_a_value_that_doubles_itself_takes_no_time() -> None:
    def double(maker: GraphMaker, value: Value, _: Value) -> Value:
        value = margin(maker)
        for _step in range(120):
            value = exp(value) + value
        return value

    assert _formula(double) is None


def test_a_long_name_gets_no_letter() -> None:
    maker = GraphMaker(PAIR, hyperparameters={"label_smoothing": 0.1})
    smoothing = maker.leaf("label_smoothing")
    formula = find_formula(read_graph(maker.returning(maker.leaf(PAIR[0]) * smoothing + smoothing)))
    assert formula == "πc·label_smoothing + label_smoothing"


def test_a_letter_is_not_the_name_of_a_hyperparameter() -> None:
    maker = GraphMaker((*PAIR, "beta"), hyperparameters={"z": 2.0})
    shared = maker.leaf("beta") * margin(maker)
    formula = find_formula(read_graph(maker.returning(exp(shared) * shared * maker.leaf("z"))))
    assert formula == "exp(u)·u·z, where u = β·((πc − πr) − (ρc − ρr))"


@pytest.mark.parametrize(
    ("make", "formula"),
    [
        (lambda m, a, b: m.node("aten.var.correction", a, correction=0) * b, "var(πc, correction=0)·β"),
        (lambda m, a, b: m.node("aten.std.correction", a, [0], correction=1) * b, "std(πc, dim=0, correction=1)·β"),
        (lambda m, a, b: m.node("aten.round.decimals", a, decimals=1) * b, "round(πc, decimals=1)·β"),
        (lambda m, a, b: m.node("aten.mse_loss.default", a, a * b, 0), "mse_loss(πc, πc·β, reduction=none)"),
        (lambda m, a, b: m.node("aten.slice.Tensor", a, 0, 0, (1 << 63) - 1) * b, "πc·β"),
        (lambda m, a, b: a * b + m.node("aten.mean.default", m.node("aten.slice.Tensor", a, 0, 1, 3)), None),
    ],
)
def test_nobody_has_to_guess_what_an_argument_is(
    make: Callable[[GraphMaker, Value, Value], Value], formula: str | None
) -> None:
    found = _formula(make)
    assert found == formula
    assert "9.22" not in (found or "")

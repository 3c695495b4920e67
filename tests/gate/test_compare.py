"""A graph that does something else than its source is found out, and so is an answer that is no answer."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery_service.domain.families import Family
from discovery_service.losses.graph import read_graph
from discovery_service.losses.refusals import RefusalCode
from discovery_service.losses.source import check_source
from tests.jail.compiler.running import pairwise
from workers.gate.compare import compare
from workers.jail.compiler import compile_source
from workers.jail.execute import compute_graph, execute_source
from workers.runtime.graph import Program

Change = Callable[[Any], Any]


def execute(body: str) -> Any:
    return execute_source(check_source(pairwise(body, "beta, progress"), Family.PAIRWISE))


def compute(body: str) -> Any:
    document = compile_source(check_source(pairwise(body, "beta, progress"), Family.PAIRWISE))
    return compute_graph(Program(read_graph(document)))


MISMATCHED = {
    "a constant in a mixture": (
        "return 0.9 * F.softplus(-beta * z) + 0.1 * F.softplus(beta * z)",
        "return 0.9 * F.softplus(-beta * z) + 0.1001 * F.softplus(beta * z)",
    ),
    "a margin": ("return torch.relu(1 - beta * z)", "return torch.relu(1.0001 - beta * z)"),
    "a target": ("return (z - 1 / (2 * beta)) ** 2", "return (z - 1 / (2.0001 * beta)) ** 2"),
    "a temperature": ("return F.softplus(-z / 0.5)", "return F.softplus(-z / 0.5001)"),
    "a small weight": ("return F.softplus(-z) + 0.001 * z ** 2", "return F.softplus(-z) + 0.0011 * z ** 2"),
    "a scaled loss": ("return 1e-3 * F.softplus(-z)", "return 1.0001e-3 * F.softplus(-z)"),
    "another branch": ("return torch.where(z > 0, z, -2 * z)", "return torch.where(z < 0, z, -2 * z)"),
    "a bound that belongs to it": (
        "return torch.where(z >= 0, 1.0, 2.0) * z.exp()",
        "return torch.where(z > 0, 1.0, 2.0) * z.exp()",
    ),
    "another branch on progress": (
        "return F.softplus(-z) * (1.0 if progress < 0.3 else 2.0)",
        "return F.softplus(-z) * (1.0 if progress < 0.4 else 2.0)",
    ),
    "another branch on beta": (
        "if beta > 0.35:\n    return F.softplus(-z)\nelse:\n    return torch.relu(1 - z)",
        "if beta > 0.45:\n    return F.softplus(-z)\nelse:\n    return torch.relu(1 - z)",
    ),
    "a branch on a strong beta": ("return F.softplus(-z) * (1.0 if beta < 2 else 0.5)", "return F.softplus(-z)"),
    "a bound on a strong beta": ("return F.softplus(-z) * min(1.0, 1 / beta)", "return F.softplus(-z)"),
    "another time": (
        "return F.softplus(-z) * (1.0 if progress < 0.57 else 2.0)",
        "return F.softplus(-z) * (1.0 if progress < 0.64 else 2.0)",
    ),
    "a bound far out": ("return F.softplus(-beta * z.clamp(-14, 14))", "return F.softplus(-beta * z)"),
    "a bound further out": ("return F.softplus(-beta * z.clamp(min=-35))", "return F.softplus(-beta * z)"),
    "a dropped detach": (
        "return torch.sigmoid(-z).detach() * F.softplus(-z)",
        "return torch.sigmoid(-z) * F.softplus(-z)",
    ),
    "a dropped no_grad": (
        "with torch.no_grad():\n    w = z.mean()\nreturn F.softplus(-z + w)",
        "w = z.mean()\nreturn F.softplus(-z + w)",
    ),
    "a detach of a statistic": ("return z / z.std().detach() - z", "return z / z.std() - z"),
    "one batch size only": ("return F.softplus(-z) + z.sum() / z.shape[0]", "return F.softplus(-z) + z.sum() / 64"),
    "one batch size only, in a bound": (
        "return F.softplus(-z) / max(z.shape[0], 2)",
        "return F.softplus(-z) / max(z.shape[0], 3)",
    ),
    "a smoothed estimate": ("return F.softplus(-z + z.var())", "return F.softplus(-z + z.var(unbiased=False))"),
    "two losses a row": ("return F.softplus(-z)", "return torch.cat((F.softplus(-z), F.softplus(-z)))"),
    "beta": ("return F.softplus(-beta * z)", "return F.softplus(-0.1 * z)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISMATCHED)
def test_a_graph_that_is_not_the_sources_is_found(name: str) -> None:
    source, graph = MISMATCHED[name]
    assert compare(execute(source), compute(source)) is None
    assert compare(execute(graph), compute(graph)) is None
    refusal = compare(execute(source), compute(graph))
    assert refusal is not None
    assert refusal.code is RefusalCode.SEMANTICS_DIFFER
    assert refusal.message.isprintable()


ROUNDED = {
    "order of a sum": ("return (z + 1) + beta * z", "return z + (1 + beta * z)"),
    "distributed": ("return beta * (z + 3)", "return beta * z + beta * 3"),
    "log of a sigmoid": ("return F.softplus(-z)", "return torch.log1p(torch.exp(-z))"),
    "a quotient": ("return F.softplus(-z) / 0.3", "return F.softplus(-z) * (1 / 0.3)"),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_what_float32_rounds_in_another_order_is_no_difference(name: str) -> None:
    one, other = ROUNDED[name]
    assert compare(execute(one), compute(other)) is None


@pytest.fixture(scope="module")
def answer() -> Any:
    return compute("return F.softplus(-beta * z) + 0.1 * z.mean()")


def test_it_agrees_with_itself(answer: Any) -> None:
    assert compare(answer, copy.deepcopy(answer)) is None


def _set(path: tuple[Any, ...], value: Any) -> Change:
    def change(answer: Any) -> Any:
        place = answer
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return answer

    return change


CHOSEN = "policy_chosen_logps"
FORGED: dict[str, Change] = {
    "nothing": lambda _: None,
    "a text": lambda _: "values",
    "a list": lambda answer: [answer],
    "no gradients": lambda answer: {"values": answer["values"]},
    "more than asked": lambda answer: {**answer, "verdict": "accepted"},
    "no case": _set(("values",), []),
    "a case less": lambda answer: {**answer, "values": answer["values"][:-1]},
    "a case more": lambda answer: {**answer, "values": [*answer["values"], [0.0, 0.0]]},
    "a number for a list": _set(("values", 0), 1.0),
    "an endless list": _set(("values", 1), [0.0] * 1_000_000),
    "a row less": lambda answer: _set(("values", 3), answer["values"][3][:-1])(answer),
    "three losses a row": lambda answer: _set(("values", 0), answer["values"][0] * 3)(answer),
    "a nan": _set(("values", 2, 4), float("nan")),
    "a nan in words": _set(("values", 2, 4), "nan"),
    "all nan": lambda answer: {**answer, "values": [["nan"] * len(each) for each in answer["values"]]},
    "infinite": _set(("gradients", 3, CHOSEN, 63), "inf"),
    "a word": _set(("values", 2, 4), "0.5"),
    "a bool": _set(("values", 2, 4), True),
    "nothing for a number": _set(("values", 2, 4), None),
    "a huge integer": _set(("values", 2, 4), 10**400),
    "a list for a number": _set(("values", 2, 4), [[[]]]),
    "a gradient less": lambda answer: answer["gradients"][5].pop(CHOSEN) and answer,
    "a gradient by another name": lambda answer: _set(("gradients", 5, "beta"), [0.0])(answer),
    "no gradients in a case": _set(("gradients", 0), {}),
    "gradients of another family": _set(("gradients", 0), {"policy_token_logps": [0.0] * 10}),
    "zero gradients": lambda answer: {
        **answer,
        "gradients": [{name: [0.0] * len(each) for name, each in case.items()} for case in answer["gradients"]],
    },
    "one value": lambda answer: _set(("values", 11, 40), answer["values"][11][40] * 1.0001)(answer),
    "one gradient": lambda answer: (
        _set(("gradients", 11, CHOSEN, 40), answer["gradients"][11][CHOSEN][40] * 1.0001)(answer)
    ),
    "two rows swapped": lambda answer: {**answer, "values": [[*each[1::-1], *each[2:]] for each in answer["values"]]},
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("of_source", [True, False], ids=["executed", "computed"])
def test_a_forged_or_malformed_answer_is_never_agreement(answer: Any, name: str, of_source: bool) -> None:
    forged = FORGED[name](copy.deepcopy(answer))
    refusal = compare(forged, answer) if of_source else compare(answer, forged)
    assert refusal is not None
    assert refusal.code in (RefusalCode.SEMANTICS_DIFFER, RefusalCode.NON_FINITE)
    assert len(refusal.message) < 400


def test_what_the_graph_itself_cannot_compute_is_not_finite() -> None:
    body = "return torch.log(z)"
    refusal = compare(execute(body), compute(body))
    assert refusal is not None
    assert refusal.code is RefusalCode.NON_FINITE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=12) | st.dictionaries(st.sampled_from(["values", "gradients", CHOSEN]), inner)
    ),
    max_leaves=30,
)


@given(JSON, JSON)
@settings(max_examples=300, deadline=None)
def test_no_answer_makes_it_raise_or_agree(one: Any, other: Any) -> None:
    assert compare(one, other) is not None


def test_an_answer_survives_json(answer: Any) -> None:
    assert compare(json.loads(json.dumps(answer)), answer) is None

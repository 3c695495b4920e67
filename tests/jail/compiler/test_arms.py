"""A choice that keeps clear of a division by zero does so in the graph too, whose arms are both computed."""

import pytest

from discovery_service.domain.families import Family
from discovery_service.losses.graph import read_graph
from discovery_service.losses.source import check_source
from tests.jail.compiler.running import assert_equals_eager, compile_text, pairwise
from workers.gate.compare import compare
from workers.jail.compiler import compile_source
from workers.jail.execute import compute_graph, execute_source
from workers.runtime.graph import Program

GUARDED = {
    "a quotient": "return F.softplus(-beta * (z / progress if progress > 0 else z))",
    "the other way round": "return F.softplus(-beta * (z if progress == 0 else z / progress))",
    "a rate": "sharp = 1 - progress\nreturn torch.tanh(z / sharp) - z if sharp > 0 else torch.sign(z) - beta * z",
    "a limit": "return (torch.exp(-alpha * beta * z) - 1) / alpha if abs(alpha) > 1e-8 else -beta * z",
    "statements": "if progress > 0:\n    w = z / progress\nelse:\n    w = z\nreturn F.softplus(-beta * w)",
    "returns": "if progress > 0:\n    return F.softplus(-z / progress)\nelse:\n    return F.softplus(-z)",
    "a logarithm": "return F.softplus(-z) * (1 - math.log(progress) if progress > 0 else 1.0)",
    "a helper": "def over(x, y):\n    return x / y if y > 0 else x\nreturn F.softplus(-over(z, progress))",
    "two conditions": "return F.softplus(-(z / progress if progress > 0 and beta > 0.2 else z))",
}


@pytest.mark.parametrize("name", GUARDED)
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_a_guarded_division_is_finite_in_the_graph(name: str, alpha: float) -> None:
    text = pairwise(GUARDED[name], f"beta, progress, alpha={alpha}")
    if "def over" in text:
        helper, body = GUARDED[name].split("\nreturn ")
        text = f"{helper}\n\n{pairwise('return ' + body, 'beta, progress')}"
    checked = check_source(text, Family.PAIRWISE)
    computed = compute_graph(Program(read_graph(compile_source(checked))))
    assert compare(execute_source(checked), computed) is None


@pytest.mark.parametrize("name", ["a quotient", "statements", "a logarithm"])
def test_it_is_the_source_at_every_time(name: str) -> None:
    assert_equals_eager(pairwise(GUARDED[name], "beta, progress"), betas=(0.1, 0.3, 0.5, 0.7, 1.0))


@pytest.mark.parametrize(
    "body",
    [
        "return F.softplus(-z) if progress < 0.5 else torch.relu(1 - z)",
        "return F.softplus(-z) * (beta if progress < 0.5 else 2 * progress)",
        "return F.softplus(-z) / (beta if progress < 0.5 else 1.0)",
    ],
)
def test_a_choice_that_guards_nothing_stays_as_it_was(body: str) -> None:
    _, program = compile_text(pairwise(body, "beta, progress"))
    assert [each.operation for each in program.graph.nodes].count("aten.where.self") == 1

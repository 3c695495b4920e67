"""What is trained is the one graph of a hash: candidates with equal hashes get equal bits, whoever wrote them."""

import itertools

import pytest
import torch

from discovery_service.domain.families import Family
from discovery_service.losses.canonical import canonicalise, hash_graph
from discovery_service.losses.graph import Graph, read_graph
from discovery_service.losses.known import list_known
from tests.jail.compiler.running import compile_text
from tests.jail.compiler.sources import ACCEPTED, OTHER_FAMILIES
from tests.losses.graphs import GOOD
from tests.runtime.inputs import make_inputs
from workers.runtime.graph import Program

HEAD = (
    "def loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta,"
    " a=0.3, b=0.7):\n    rho = policy_chosen_logps - reference_chosen_logps - policy_rejected_logps"
    " + reference_rejected_logps\n"
)


def compiled(text: str, family: Family = Family.PAIRWISE) -> Graph:
    return compile_text(text, family)[1].graph


def run(graph: Graph, rows: int = 7) -> list[torch.Tensor]:
    inputs = make_inputs(graph.family, rows)
    losses = Program(graph)(inputs)
    policy = [each for name, each in inputs.items() if each.requires_grad]
    return [
        losses,
        *(each for each in torch.autograd.grad(losses.sum(), policy, allow_unused=True) if each is not None),
    ]


GRAPHS = {f"{name} by hand": read_graph(document) for name, document in GOOD.items()} | {
    known.name: compiled(known.text) for known in list_known(Family.PAIRWISE)
}
GRAPHS |= {name: compiled(text) for name, text in ACCEPTED.items()}
GRAPHS |= {name: compiled(text, family) for name, (family, text) in OTHER_FAMILIES.items()}
LOOP = "    u = rho\n    for k in range(20):\n        u = "
LOOPS = {
    "a running sum": f"{HEAD}{LOOP}u + 0.1 * torch.tanh(rho - u)\n    return u\n",
    "a running product": f"{HEAD}{LOOP}u * torch.sigmoid(a - u)\n    return u\n",
}
GRAPHS |= {name: compiled(text) for name, text in LOOPS.items()}


@pytest.mark.parametrize("name", GRAPHS)
def test_it_has_the_hash_of_the_graph_that_it_stands_for_and_computes_the_same(name: str) -> None:
    graph = GRAPHS[name]
    one = canonicalise(graph)
    assert read_graph(one.document()) == one
    assert hash_graph(one) == hash_graph(graph)
    assert canonicalise(one) == one
    for mine, its in zip(run(one), run(graph), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "terms",
    [
        ("F.softplus(-beta * rho)", "a * torch.exp(-rho)", "0.125 * rho ** 2", "b"),
        ("torch.sigmoid(rho)", "(a * beta * rho)", "torch.tanh(rho) * a * 3.7", "policy_chosen_logps * 0.01"),
    ],
)
def test_sums_in_any_order_are_one_graph_to_the_last_bit(terms: tuple[str, ...]) -> None:
    graphs = [compiled(f"{HEAD}    return {' + '.join(each)}\n") for each in itertools.permutations(terms)] + [
        compiled(f"{HEAD}    return ({terms[0]} + {terms[1]}) + ({terms[2]} + {terms[3]})\n")
    ]
    assert len({hash_graph(graph) for graph in graphs}) == 1
    first = run(canonicalise(graphs[0]))
    for graph in graphs[1:]:
        assert canonicalise(graph).nodes == canonicalise(graphs[0]).nodes
        assert all(map(torch.equal, run(canonicalise(graph)), first))


@pytest.mark.parametrize("name", LOOPS)
def test_what_a_loop_sums_up_is_not_written_out_at_each_of_its_steps(name: str) -> None:
    assert len(canonicalise(GRAPHS[name]).nodes) <= len(GRAPHS[name].nodes)


@pytest.mark.parametrize("name", LOOPS)
def test_in_a_loop_dead_code_and_the_order_of_operands_do_not_count(name: str) -> None:
    other = LOOPS[name].replace("    u = rho\n", "    dead = rho ** 3\n    u = rho\n")
    for one, turned in (
        ("u + 0.1 * torch.tanh(rho - u)", "torch.tanh(rho - u) * 0.1 + u"),
        ("u * torch.sigmoid(a - u)", "torch.sigmoid(a - u) * u"),
    ):
        other = other.replace(one, turned)
    assert canonicalise(compiled(other)) == canonicalise(GRAPHS[name])
    assert hash_graph(compiled(other)) == hash_graph(GRAPHS[name])


def test_the_order_of_statements_and_dead_code_do_not_count() -> None:
    one = compiled(f"{HEAD}    x = torch.exp(-rho)\n    y = torch.tanh(rho)\n    return x * a - y * b + rho\n")
    other = compiled(
        f"{HEAD}    y = torch.tanh(rho)\n    dead = y ** 3\n    x = torch.exp(-rho)\n    return rho + (a * x - b * y)\n"
    )
    assert hash_graph(one) == hash_graph(other)
    assert canonicalise(one) == canonicalise(other)

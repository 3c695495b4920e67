"""Every library loss passes the gate's first half, and its graph is what eager PyTorch computes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.graph import read_graph
from discovery_service.losses.source import check_source
from tests.losses.eager import KNOWN, load
from workers.jail.batches import make_batch
from workers.jail.compiler import compile_source
from workers.runtime.graph import Program

POLICY = [each.name for each in INPUTS[Family.PAIRWISE] if each.role is Role.POLICY]


@pytest.fixture(scope="module", params=list(KNOWN))
def compiled(request: pytest.FixtureRequest) -> tuple[str, Program]:
    checked = check_source(KNOWN[request.param].text, Family.PAIRWISE)
    program = Program(read_graph(compile_source(checked)))
    program.check_shapes()
    return request.param, program


@pytest.mark.parametrize("rows", [2, 3, 7, 64])
@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0])
def test_a_graph_is_the_eager_loss_in_value_and_gradient(compiled: tuple[str, Program], rows: int, beta: float) -> None:
    name, program = compiled
    function = load(KNOWN[name].text)
    batch = make_batch(Family.PAIRWISE, rows, seed=rows)
    settings = {"beta": beta, "progress": 0.5}
    ours = {**batch, **{key: torch.tensor(value, dtype=torch.float64) for key, value in settings.items()}}
    asked = function.__code__.co_varnames[: function.__code__.co_argcount]
    plain = {key: value for key, value in {**batch, **settings}.items() if key in asked}
    for graph_side, eager_side in zip(_run(program, ours), _run(lambda inputs: function(**inputs), plain), strict=True):
        torch.testing.assert_close(graph_side, eager_side, rtol=1e-6, atol=1e-6 * float(eager_side.abs().max()))


def _run(loss: Callable[[dict[str, Any]], Tensor], inputs: dict[str, Any]) -> list[Tensor]:
    leaves = {name: inputs[name].clone().requires_grad_() for name in POLICY if name in inputs}
    values = loss({**inputs, **leaves})
    return [values.detach(), *torch.autograd.grad(values.sum(), list(leaves.values()))]

"""The runtime computes what eager PyTorch computes, and tells its caller's mistakes from the candidate's."""

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (as every loss names it)

from tests.losses.graphs import GOOD, PAIR, GraphMaker, dpo, ipo, lrml, margin, sigmoid
from tests.runtime.inputs import make_inputs
from tests.runtime.programs import make_document, make_program, outer

Inputs = Mapping[str, torch.Tensor]


def _margin(given: Inputs) -> torch.Tensor:
    pc, pr, rc, rr = (given[name] for name in PAIR)
    return (pc - pr) - (rc - rr)


def _dpo(given: Inputs, beta: float) -> torch.Tensor:
    return -F.logsigmoid(beta * _margin(given))


def _ipo(given: Inputs, beta: float) -> torch.Tensor:
    return (_margin(given) - 1 / (2 * beta)) ** 2


def _slic(given: Inputs, beta: float) -> torch.Tensor:
    return torch.relu(1 - beta * _margin(given))


def _exponential(given: Inputs, beta: float) -> torch.Tensor:
    return torch.exp(-beta * _margin(given))


def _simpo(given: Inputs, beta: float) -> torch.Tensor:
    chosen = given["policy_chosen_logps"] / given["chosen_lengths"]
    rejected = given["policy_rejected_logps"] / given["rejected_lengths"]
    return -F.logsigmoid(beta * (chosen - rejected) - 0.5)


def _lrml(given: Inputs, beta: float) -> torch.Tensor:
    z = beta * _margin(given)
    gate = torch.sigmoid(z / 0.05)
    return -F.logsigmoid(z) * (1 - gate) + torch.exp(-z) * gate


def _held_gate(given: Inputs, beta: float) -> torch.Tensor:
    z = beta * _margin(given)
    with torch.no_grad():
        weight = torch.sigmoid(z - z.mean())
    return -F.logsigmoid(z) * weight


def _kto_pair(given: Inputs, beta: float) -> torch.Tensor:
    pc, pr, rc, rr = (given[name] for name in PAIR)
    chosen_kl, rejected_kl = (pc - rc).mean().clamp(min=0), (pr - rr).mean().clamp(min=0)
    halves = 1 - torch.sigmoid(beta * ((pc - rc) - rejected_kl)), 1 - torch.sigmoid(beta * (chosen_kl - (pr - rr)))
    return torch.cat(halves)


def _ranked(given: Inputs, beta: float) -> torch.Tensor:
    ordered, order = torch.sort(beta * _margin(given), descending=True)
    share = torch.cumsum(ordered, 0) / torch.arange(1, len(order) + 1)
    return F.softplus(-share[torch.argsort(order)]) * 0.25


def _matching(given: Inputs, beta: float) -> torch.Tensor:
    policy, reference, mask = given["policy_token_logps"], given["reference_token_logps"], given["mask"]
    ratio = ((policy - reference) * mask).sum(1).detach()
    same = (given["group"][:, None] == given["group"][None, :]).float()
    reward = given["rewards"] - beta * ratio
    return -((reward - same @ reward / same.sum(1)) * (policy * mask).sum(1))


def _outcome(given: Inputs, _beta: float) -> torch.Tensor:
    return -(torch.exp(given["policy_logps"] - given["behavior_logps"]) * given["outcomes"])


EAGER: dict[str, Callable[[Inputs, float], torch.Tensor]] = {
    **{"dpo": _dpo, "ipo": _ipo, "slic": _slic, "exponential": _exponential, "simpo": _simpo, "lrml": _lrml},
    **{"held_gate": _held_gate, "kto_pair": _kto_pair, "ranked": _ranked, "matching": _matching, "outcome": _outcome},
}


@pytest.mark.parametrize("name", EAGER)
@pytest.mark.parametrize("rows", [2, 3, 7, 64])
@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0])
def test_value_and_gradients_are_those_of_eager_code(name: str, rows: int, beta: float) -> None:
    results = []
    for loss in (make_program(GOOD[name]), lambda given: EAGER[name](given, beta)):
        given = make_inputs(GOOD[name]["family"], rows, beta=beta)
        policy = [each for each in given.values() if each.requires_grad]
        value = loss(given)
        gradients = torch.autograd.grad(value.sum(), policy, allow_unused=True, materialize_grads=True)
        results.append([value.detach(), *gradients])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_good_graphs_pass_the_shape_check() -> None:
    assert {name: make_program(document).check_shapes() for name, document in GOOD.items()} == {
        name: 2 if name == "kto_pair" else 1 for name in GOOD
    }


def test_beta_is_no_float32() -> None:
    # Near its minimum IPO takes the difference of two near numbers: float32 had it off by up to .8 %.
    given = make_inputs("pairwise", 7, beta=0.1)
    with torch.no_grad():
        given["policy_chosen_logps"] += 5.0 - _margin(given) + 1e-3
    exact = (_margin({name: each.double() for name, each in given.items()}) - 5.0) ** 2
    torch.testing.assert_close(make_program(ipo())(given).double(), exact, rtol=5e-3, atol=0)


def test_a_hyperparameter_is_set_for_one_call() -> None:
    program, given = make_program(lrml()), make_inputs("pairwise", 7)
    default, changed = program(given), program(given, {"tau": 0.5})
    torch.testing.assert_close(changed, make_program(lrml(tau=0.5))(given), rtol=0, atol=0)
    assert not torch.allclose(default, changed)
    torch.testing.assert_close(program(given), default, rtol=0, atol=0)


def test_what_the_graph_has_not_cannot_be_set() -> None:
    given = make_inputs("pairwise", 3)
    with pytest.raises(ValueError, match="no hyper-parameter gamma"):
        make_program(lrml())(given, {"gamma": 1.0})
    structural = make_document(lambda _, z: sigmoid(z), structural={"steps": 3})
    with pytest.raises(ValueError, match="no hyper-parameter steps"):
        make_program(structural)(given, {"steps": 4})


def test_a_missing_input_is_named() -> None:
    given = make_inputs("pairwise", 3)
    del given["beta"]
    with pytest.raises(ValueError, match="beta"):
        make_program(dpo())(given)


def test_autocast_does_not_reach_the_loss() -> None:
    document = make_document(lambda m, z: m.node("aten.mv.default", outer(m, z), z))
    given = make_inputs("pairwise", 7)
    plain = make_program(document)(given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = make_program(document)(given)
    assert inside.dtype is torch.float32
    torch.testing.assert_close(inside, plain, rtol=0, atol=0)


def test_dead_code_is_not_run() -> None:
    maker = GraphMaker((*PAIR, "beta"))
    z = margin(maker)
    maker.node("aten.mm.default", z, z)
    make_program(maker.returning(sigmoid(z))).check_shapes()


def test_the_inputs_are_not_changed() -> None:
    for name, document in GOOD.items():
        given = make_inputs(document["family"], 7)
        before = {key: each.detach().clone() for key, each in given.items()}
        make_program(document)(given)
        assert all(torch.equal(given[key], each) for key, each in before.items()), name

"""Each operation that wants a Python number, given a hyper-parameter: the graph is compiled once and then swept."""

import pytest
import torch
from torch import Tensor

from discovery_service.domain.families import Family
from tests.jail.compiler.running import assert_equals_eager, pairwise, refusal_of
from workers.jail.batches import make_batch
from workers.jail.lowering import METHOD_ROWS, ROWS

# What the loss returns; `t` is swept over VALUES, `z` is the margin, `y` another tensor without gradient.
CASES = {
    "add": [
        "torch.add(z, t)",
        "torch.add(z, y, alpha=t)",
        "z.add(2.0, alpha=t)",
        "torch.add(t, z)",
        "z.add(t, alpha=2)",
    ],
    "sub": ["torch.sub(z, t)", "torch.sub(z, y, alpha=t)", "torch.sub(t, z)", "z.subtract(t)"],
    "rsub": ["torch.rsub(z, t)", "torch.rsub(z, y, alpha=t)"],
    "mul": ["torch.mul(z, t)", "torch.mul(t, z)", "z.multiply(t)", "z.mean().mul(t) * z"],
    "div": ["torch.div(z, t)", "z.div(t)", "torch.div(t, z.exp())", "z * torch.div(y, t, rounding_mode='floor')"],
    "pow": ["torch.pow(z.exp(), t)", "torch.pow(t, z)", "z.exp().pow(t)", "z.exp() ** t", "t ** z", "z.pow(2 + 0 * t)"],
    "remainder": ["torch.remainder(z, t)", "z.remainder(t)", "z % t"],
    "fmod": ["torch.fmod(z, t)"],
    "floor_divide": ["z * torch.floor_divide(y, t)", "z * (y // t)"],
    "float_power": ["torch.float_power(z.exp(), t)", "torch.float_power(t, z)"],
    "xlogy": ["torch.xlogy(z, t)", "torch.xlogy(t, z.exp())"],
    "eq": ["z * (annotator == t).float()", "z * torch.eq(z, t).float() + z"],
    "ne": ["z * torch.ne(z, t).float()"],
    "lt": ["z * torch.lt(z, t).float()", "z * (t > z).float()"],
    "le": ["z * torch.le(z, t).float()"],
    "gt": ["z * torch.gt(z, t).float()", "z * z.greater(t).float()"],
    "ge": ["z * torch.ge(z, t).float()"],
    "addcmul": ["torch.addcmul(z, y, z, value=t)"],
    "addcdiv": ["torch.addcdiv(z, z, y.exp(), value=t)"],
    "lerp": ["torch.lerp(z, z * z, t)", "z.lerp(y, t)"],
    "quantile": ["z - torch.quantile(z, t / 4)", "z - z.quantile(t / 4)"],
    "where": [
        "torch.where(z > 0, t, z)",
        "torch.where(z > 0, z, t)",
        "z * torch.where(z > 0, t, 1.0)",
        "z * torch.where(z > 0, t, 2 * t)",
        "z.where(z > 0, t)",
        "z * torch.where(annotator == 1, annotator, t)",
        "z * torch.where(z > 0, z.mean(), t)",
    ],
    "masked_fill": ["z.masked_fill(z > 0, t)", "torch.masked_fill(z, y > 0, t)"],
    "clamp": [
        "torch.clamp(z, min=t)",
        "torch.clamp(z, max=t)",
        "torch.clamp(z, -t, t)",
        "z.clamp(-1.0, t)",
        "z.clamp(t, 3)",
        "z.clip(-t)",
        "z * annotator.clamp(min=t)",
        "z * z.mean().clamp(max=t)",
    ],
    "clamp_min": ["z.clamp_min(t)"],
    "clamp_max": ["torch.clamp_max(z, t)"],
    "hardtanh": ["F.hardtanh(z, -t, t)", "F.hardtanh(z, min_val=-t)", "F.hardtanh(z, 0.0, t)"],
    "threshold": ["F.threshold(z, t, 0.0)", "F.threshold(z, 0.0, t)"],
    "softplus": ["F.softplus(-z, beta=t)", "F.softplus(z, t, 5.0)", "F.softplus(z, 2.0, t)"],
    "leaky_relu": ["F.leaky_relu(z, t)", "F.leaky_relu(z, negative_slope=t)"],
    "elu": ["F.elu(z, alpha=t)"],
    "celu": ["F.celu(z, alpha=t)", "torch.celu(z, t)"],
    "logit": ["torch.logit(torch.sigmoid(z), eps=t / 10)", "torch.sigmoid(z).logit(t / 10)"],
    "nan_to_num": ["torch.nan_to_num(z, nan=t)", "torch.where(z > 1, torch.inf, z).nan_to_num(posinf=t)"],
    "full_like": ["z * torch.full_like(z, t)", "z * torch.full_like(z, t, dtype=torch.float64).float()"],
    "full": ["z * torch.full((z.shape[0],), t)", "z * torch.full(z.shape, t, device=z.device)"],
    "new_full": ["z * z.new_full((z.shape[0],), t)"],
    "tensor": [
        "z * torch.tensor(t)",
        "z * torch.tensor([t, 1.0 - t, 0.5])[0]",
        "z * torch.tensor([[t, 1.0], [0.25, t]]).sum()",
        "z * torch.tensor([t], dtype=torch.float64, device=z.device)[0].to(z.dtype)",
        "z * torch.logsumexp(torch.tensor([t, 2 * t]), 0)",
    ],
    "scalar_tensor": ["z * torch.scalar_tensor(t)"],
    "new_tensor": ["z * z.new_tensor([t, 2.0]).sum()"],
    "linspace": ["z * torch.linspace(0.0, t, 5).sum()", "z * torch.linspace(t, 1.0, 3)[1]"],
    "norm": [
        "z / torch.norm(z + 9.0, p=1 + t)",
        "z / (z + 9.0).norm(1 + t, dim=0)",
        "z.exp() * z.exp().norm(2 + t, 0, True)",
    ],
    "vector_norm": ["z / torch.linalg.vector_norm(z + 9.0, ord=1 + t)"],
    "normalize": [
        "F.normalize(z + 9.0, p=1 + t, dim=0)",
        "F.normalize(z, dim=0, eps=t)",
        "F.normalize(z, dim=0, eps=100 * t)",
    ],
    "huber_loss": ["F.huber_loss(z, y, reduction='none', delta=t)", "z * F.huber_loss(z, y, delta=t)"],
    "smooth_l1_loss": [
        "F.smooth_l1_loss(z, y, reduction='none', beta=t)",
        "z + F.smooth_l1_loss(z, y, reduction='sum', beta=t)",
    ],
    "margin_ranking_loss": [
        "F.margin_ranking_loss(z, y, torch.ones_like(z), margin=t, reduction='none')",
        "z + F.margin_ranking_loss(z, y, torch.ones_like(z), margin=t)",
    ],
    "hinge_embedding_loss": ["F.hinge_embedding_loss(z, torch.sign(y) * 2 - 1, margin=t, reduction='none')"],
}
EXPRESSIONS = [(name, each) for name, expressions in CASES.items() for each in expressions]
# PyTorch rounds the steps of a norm in another order; next to others in a quotient they cancel.
RELATIVE = dict.fromkeys(("norm", "vector_norm", "normalize"), 2e-5)
VALUES = ({}, {"t": 0.3}, {"t": 1.0}, {"t": 2.5})


def _at_kinks() -> dict[str, Tensor]:
    """Margins of exactly zero and of exactly ±t for each of its values."""
    margins = torch.tensor(
        [0.0, 0.3, -0.3, 1.0, -1.0, 2.5, -2.5, 0.5, -0.5, 1.5, -1.5, 2.0, 6.0, -6.0, 12.0, 0.1, -0.1]
    )
    batch = make_batch(Family.PAIRWISE, len(margins), 3)
    nothing = torch.zeros_like(margins)
    return {
        **batch,
        "policy_chosen_logps": margins,
        **dict.fromkeys(("policy_rejected_logps", "reference_chosen_logps", "reference_rejected_logps"), nothing),
    }


def _source(expression: str) -> str:
    return pairwise(
        f"y = chosen_lengths / 10 - rejected_lengths / 10\nreturn {expression}",
        "chosen_lengths, rejected_lengths, annotator, beta, t=0.5",
    )


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_a_number_of_the_graph_does_what_a_number_of_python_does(name: str, expression: str) -> None:
    text, relative = _source(expression), RELATIVE.get(name, 1e-6)
    assert_equals_eager(text, betas=(0.1,), sweep=VALUES, relative=relative)
    assert_equals_eager(text, betas=(0.1,), sweep=VALUES, batches=[_at_kinks()], relative=relative)


def test_every_row_of_the_table_has_its_cases() -> None:
    assert set(CASES) == set(ROWS)
    assert set(METHOD_ROWS) <= set(ROWS)


@pytest.mark.parametrize(
    "expression",
    ["torch.exp(t) * z", "torch.maximum(z, t)", "z.minimum(t)", "torch.logaddexp(z, t)", "torch.sigmoid(t) * z",
     "F.relu(t) * z", "torch.stack([z.mean(), t]).sum() * z", "F.mse_loss(z, t)", "t.clamp(0.0, 1.0) * z",
     "torch.eq(t, z) * z", "torch.zeros_like(t) * z"],
)  # fmt: skip
def test_what_python_cannot_do_with_a_number_is_refused(expression: str) -> None:
    assert refusal_of(_source(expression))[0] == "wrong_argument"


@pytest.mark.parametrize(
    "expression", ["z.roll(t)", "z.topk(t)[0].sum() * z", "z.sum(t)", "torch.ones(t).sum() * z", "z[t:].sum() * z"]
)
def test_a_float_where_an_integer_is_needed_is_refused(expression: str) -> None:
    assert refusal_of(_source(expression))[0] == "wrong_argument"

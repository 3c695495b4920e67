"""One loss run twice: by plain eager PyTorch with Python numbers, and as the graph that was compiled of it."""

import math
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.graph import read_graph
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import CheckedSource, check_source
from workers.jail.batches import make_batch
from workers.jail.compiler import compile_source
from workers.runtime.graph import Program

SIZES = (2, 3, 7, 64)
BETAS = (0.05, 0.3, 1.0)

PAIR = "policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps"


def pairwise(body: str, extra: str = "beta") -> str:
    """A source whose body can use z, the margin of policy over reference."""
    margin = "z = (policy_chosen_logps - policy_rejected_logps) - (reference_chosen_logps - reference_rejected_logps)"
    return f"def loss({PAIR}, {extra}):\n    {margin}\n{textwrap.indent(body.rstrip(), '    ')}\n"


def compile_text(text: str, family: Family = Family.PAIRWISE) -> tuple[CheckedSource, Program]:
    checked = check_source(text, family)
    program = Program(read_graph(compile_source(checked)))
    program.check_shapes()
    return checked, program


def refusal_of(text: str, family: Family = Family.PAIRWISE) -> tuple[str, int | None]:
    try:
        compile_text(text, family)
    except Refused as refused:
        return refused.refusals[0].code.value, refused.refusals[0].line
    raise AssertionError("it was not refused")


def load(text: str, name: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"torch": torch, "F": functional, "math": math}
    exec(text, namespace)
    function: Callable[..., Any] = namespace[name]
    return function


def assert_equals_eager(
    text: str,
    family: Family = Family.PAIRWISE,
    *,
    batches: list[dict[str, Tensor]] | None = None,
    betas: tuple[float, ...] = BETAS,
    sweep: tuple[Mapping[str, float], ...] = ({},),
    relative: float = 1e-6,
) -> None:
    """In value and gradient; `text` is run as it was written, and the graph is compiled once."""
    checked, program = compile_text(text, family)
    eager = load(text, checked.entry)
    for batch in batches or [make_batch(family, rows, rows) for rows in SIZES]:
        for place, beta in enumerate(betas):
            settings = {"beta": beta, "progress": place / max(len(betas) - 1, 1)}
            for numbers in sweep:
                given = _give(batch, family)
                plain = {**given, **settings, **numbers}
                wanted = eager(**{name: plain[name] for name in (*checked.inputs, *numbers)})
                tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in settings.items()}
                one = _take(wanted, given, family)
                given = _give(batch, family)
                other = _take(program({**given, **tensors}, numbers), given, family)
                for expected, found in zip(one, other, strict=True):
                    torch.testing.assert_close(found, expected, rtol=relative, atol=_floor(expected, relative))


def _floor(expected: Tensor, relative: float) -> float:
    """What cancels to almost nothing is held against the others."""
    return relative * float(expected.detach().abs().double().mean())


def _give(batch: dict[str, Tensor], family: Family) -> dict[str, Tensor]:
    policy = {each.name for each in INPUTS[family] if each.role is Role.POLICY}
    return {name: each.clone().requires_grad_(name in policy) for name, each in batch.items()}


def _take(result: Tensor, given: dict[str, Tensor], family: Family) -> list[Tensor]:
    weights = 0.5 + torch.rand(len(result), generator=torch.Generator().manual_seed(0))
    policy = [given[each.name] for each in INPUTS[family] if each.role is Role.POLICY]
    gradients = torch.autograd.grad((result * weights).sum(), policy, allow_unused=True)
    nothing = [torch.zeros_like(each) for each in policy]
    return [result, *(none if each is None else each for each, none in zip(gradients, nothing, strict=True))]

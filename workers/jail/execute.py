"""Runs a candidate on fixed inputs, as plain Python or as its graph, and tells raw values and gradients.

The two jobs answer in one form, `{"values": [[number]], "gradients": [{input: [number]}]}`, one entry a case of
`cases.CASES`; numbers that JSON lacks are "nan", "inf" and "-inf". Whether both agree is judged elsewhere, by code
that believes neither.

`execute` is the only place where a candidate's own bytecode runs: in a child that is locked for good, with little
around it but a few builtins. The builtins keep honest code honest; what holds a hostile one is the lock.
"""

import builtins
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.graph import read_graph
from discovery_service.losses.refusals import RefusalCode, Refused, refuse
from discovery_service.losses.source import CheckedSource, check_source
from discovery_service.losses.vocabulary import BUILTINS
from workers.jail.batches import make_batch, make_weights
from workers.jail.cases import CASES, Case
from workers.runtime.graph import Program

Loss = Callable[[Mapping[str, Tensor], Case], Any]
_MOST_WORDS = 160


def execute_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The job `execute`: {source, family, name?, values?} → {values, gradients}."""
    if not is_locked():
        raise RuntimeError("a candidate's Python runs in a locked child only")
    checked = check_source(
        request["source"], Family(request["family"]), name=request.get("name"), values=request.get("values")
    )
    return execute_source(checked)


def compute_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The job `compute`: {graph} → {values, gradients}."""
    return compute_graph(Program(read_graph(request["graph"])))


def is_locked() -> bool:
    """A process that can still open a file is not."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return True
    return False


def execute_source(checked: CheckedSource, cases: Sequence[Case] = CASES) -> dict[str, Any]:
    """Executes the source's bytecode in this process, which must be locked."""
    namespace: dict[str, Any] = {
        "__builtins__": {name: getattr(builtins, name) for name in BUILTINS},
        "torch": torch,
        "F": functional,
        "math": math,
    }

    def loss(tensors: Mapping[str, Tensor], case: Case) -> Any:
        given = {**tensors, "beta": case.beta, "progress": case.progress}
        return namespace[checked.entry](**{name: given[name] for name in checked.inputs})

    try:
        exec(compile(checked.text, "<candidate>", "exec"), namespace)  # noqa: S102 - what this module is for
        return _measure(loss, checked.family, cases)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a candidate raises is its own fault
        raise refuse(RefusalCode.WRONG_ARGUMENT, f"Run as Python the loss raises {_describe(error)}.") from None


def compute_graph(program: Program, cases: Sequence[Case] = CASES) -> dict[str, Any]:
    def loss(tensors: Mapping[str, Tensor], case: Case) -> Any:
        settings = {"beta": case.beta, "progress": case.progress}
        return program(
            {**tensors, **{name: torch.tensor(value, dtype=torch.float64) for name, value in settings.items()}}
        )

    return _measure(loss, program.graph.family, cases)


def _measure(loss: Loss, family: Family, cases: Sequence[Case]) -> dict[str, Any]:
    measured = [_measure_case(loss, family, case) for case in cases]
    return {"values": [values for values, _ in measured], "gradients": [gradients for _, gradients in measured]}


def _measure_case(loss: Loss, family: Family, case: Case) -> tuple[list[Any], dict[str, list[Any]]]:
    batch = make_batch(family, case.rows, case.seed)
    policy = {each.name: batch[each.name].requires_grad_() for each in INPUTS[family] if each.role is Role.POLICY}
    untouched = {name: tensor.detach().clone() for name, tensor in batch.items()}
    result = _check_result(loss(batch, case), case.rows)
    for name, tensor in batch.items():
        if not torch.equal(tensor, untouched[name]):
            raise refuse(RefusalCode.IN_PLACE, f"The loss changes {name} in place: compute a new tensor.")
    weighted = (result.double() * make_weights(case.rows * 2, case.seed)[: len(result)]).sum()
    gradients = torch.autograd.grad(weighted, list(policy.values()), allow_unused=True)
    return _numbers(result), {
        name: _numbers(torch.zeros_like(tensor) if gradient is None else gradient)
        for (name, tensor), gradient in zip(policy.items(), gradients, strict=True)
    }


def _check_result(result: Any, rows: int) -> Tensor:
    if not isinstance(result, Tensor):
        raise refuse(RefusalCode.WRONG_SHAPE, "The loss must return one tensor with one number an example.")
    if not result.dim():
        raise refuse(
            RefusalCode.SCALAR_RESULT, "The loss is one number: return one loss a row, without the mean at the end."
        )
    if result.dim() != 1 or len(result) not in (rows, 2 * rows):
        raise refuse(RefusalCode.WRONG_SHAPE, f"The loss has the shape {tuple(result.shape)} for {rows} examples.")
    if result.dtype not in (torch.float32, torch.float64):
        raise refuse(RefusalCode.WRONG_DTYPE, f"The loss is of {result.dtype}: return float32 or float64.")
    if not result.requires_grad:
        raise refuse(RefusalCode.NOT_DIFFERENTIABLE, "No gradient flows from the loss to the policy.")
    return result


def _numbers(tensor: Tensor) -> list[float | str]:
    return [each if math.isfinite(each) else str(each) for each in tensor.detach().reshape(-1).tolist()]


def _describe(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    words = ascii(lines[0])[1:-1][:_MOST_WORDS].rstrip(".") if lines else ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__

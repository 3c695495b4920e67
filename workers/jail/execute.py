"""Runs a candidate on fixed inputs, as plain Python or as its graph, and tells raw values and gradients.

Both are told in one form, `{"values": [[number]], "gradients": [{input: [number]}]}`, one entry a case of
`cases.CASES`; numbers that JSON lacks are "nan", "inf" and "-inf". Whether they agree is judged elsewhere, by code
that believes neither. The Python is run as it is stored and, where that was rewritten, as it was sent as well.

`execute` is the only place where a candidate's own bytecode runs: in a child that is locked for good, with little
around it but a few builtins. The builtins keep honest code honest; what holds a hostile one is the lock.
"""

import __future__

import builtins
import inspect
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.refusals import RefusalCode, Refused, refuse
from discovery_service.losses.source import CheckedSource
from discovery_service.losses.source.parsing import parse_source
from discovery_service.losses.vocabulary import BUILTINS
from workers.jail.batches import make_batch, make_weights
from workers.jail.cases import CASES, Case
from workers.jail.lacking import find_lack, is_out_of_memory
from workers.jail.lockdown import is_locked
from workers.runtime.graph import Program

Loss = Callable[[Mapping[str, Tensor], Case], Any]
_MOST_WORDS = 160
_BUILTINS = {name: getattr(builtins, name) for name in BUILTINS}
_OF_CHECKS: Mapping[str, Any] = {
    **{name: getattr(builtins, name) for name in ("all", "any", "getattr", "isinstance")},
    **{name: each for name, each in vars(builtins).items() if isinstance(each, type) and issubclass(each, Exception)},
}
"""What stands in asserts, in what is raised instead of one, and around `self`."""
_IMPORTED = frozenset({"torch", "math", "typing", "typing_extensions", "collections", "__future__"})
_IN_PLACE = re.compile(r"in-?place operation")


def execute_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The job `execute`: {checked, sent} → {stored, sent}; `sent` is None where it says what is stored."""
    if not is_locked():
        raise RuntimeError("a candidate's Python runs in a locked child only")
    checked, sent = CheckedSource.read(request["checked"]), request["sent"]
    return {"stored": execute_source(checked), "sent": None if sent is None else execute_sent(sent, checked)}


def execute_source(checked: CheckedSource, cases: Sequence[Case] = CASES) -> dict[str, Any]:
    """Executes the bytecode of the plain form in this process, which must be locked."""
    return _execute(lambda: compile(checked.text, "<candidate>", "exec"), _BUILTINS, checked, cases)


def execute_sent(sent: str, checked: CheckedSource, cases: Sequence[Case] = CASES) -> dict[str, Any]:
    """Executes the source that `checked` was made of: imports, `self` and updates in place as they were written."""
    # Without asserts, and with annotations that nobody evaluates: a graph is made without them.
    flags = __future__.annotations.compiler_flag

    def load() -> CodeType:
        return compile(parse_source(sent), "<candidate>", "exec", flags=flags, optimize=1)

    return _execute(load, {**_BUILTINS, **_OF_CHECKS}, checked, cases)


def _execute(
    load: Callable[[], CodeType], known: Mapping[str, Any], checked: CheckedSource, cases: Sequence[Case]
) -> dict[str, Any]:
    namespace: dict[str, Any] = {
        "__builtins__": {**known, "__import__": _import},
        "torch": torch,
        "F": functional,
        "math": math,
    }
    settings = {each.name: each.value for each in checked.hyperparameters}

    def loss(tensors: Mapping[str, Tensor], case: Case) -> Any:
        given = {**settings, **tensors, "beta": case.beta, "progress": case.progress}
        return _call(namespace[checked.entry], given)

    try:
        exec(load(), namespace)  # noqa: S102 - what this module is for
        return _measure(loss, checked.family, cases)
    except Refused:
        raise
    except Exception as error:
        if find_lack(error) is not None or is_out_of_memory(error):
            raise
        raise _explain(error) from None


def _explain(error: Exception) -> Refused:
    """Whatever a candidate raises is its own fault."""
    if isinstance(error, RuntimeError) and _IN_PLACE.search(str(error)):
        return refuse(
            RefusalCode.IN_PLACE,
            "Run as Python the loss fails, for `x += y` and the like change a tensor in place that its gradient needs:"
            " write x = x + y.",
        )
    return refuse(RefusalCode.WRONG_ARGUMENT, f"Run as Python the loss raises {_describe(error)}.")


def _import(name: str, *rest: Any) -> Any:
    """Only what the static check tolerates; all of it is loaded."""
    if name.partition(".")[0] not in _IMPORTED:
        raise refuse(RefusalCode.FORBIDDEN_IMPORT, "torch, F and math are in scope: leave the imports out.")
    return builtins.__import__(name, *rest)


def _call(function: Any, given: Mapping[str, Any]) -> Any:
    """With what it names; `self` is an object that has every value as an attribute, and is new for each call."""
    signature = inspect.signature(function)
    asked = [each.name for each in signature.parameters.values() if not isinstance(each.default, bool)]
    values = {name: SimpleNamespace(**given) if name == "self" else given[name] for name in asked}
    bound = inspect.BoundArguments(signature, OrderedDict(values))
    return function(*bound.args, **bound.kwargs)


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
    batch = make_batch(family, case.rows, case.seed, nats=case.nats)
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

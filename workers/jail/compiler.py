"""From a checked source to its graph, by interpreting it; nothing of the source is executed.

beta, progress and the hyper-parameters are inputs of the graph, 0-dimensional and float64. A hyper-parameter with an
integer default is one too where the code lets it be a float; where the code needs an integer (a size, a count, an
index) it is fixed at its value and marked structural.
"""

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.families import Family
from discovery_service.losses.families import INPUTS, Input, Role, Shape
from discovery_service.losses.refusals import Refusal, RefusalCode, Refused, refuse
from discovery_service.losses.source import CheckedSource, check_source
from discovery_service.losses.source.parsing import parse_source
from workers.jail.explain import FAULTS, explain
from workers.jail.interpreter import Interpreter
from workers.jail.lacking import is_out_of_memory
from workers.jail.trace import ROWS, TOKENS, Recording, record
from workers.jail.values import NumberNeeded, Scalar

GRAPH_VERSION = 1
_MOST_CODE = 60


def compile_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The job `compile`: {source, family, name?, values?} → {graph, checked}."""
    source = request["source"]
    checked = check_source(source, Family(request["family"]), name=request.get("name"), values=request.get("values"))
    try:
        return {"graph": compile_source(checked), "checked": checked.document()}
    except Refused as refused:
        placed = [replace(each, line=_find_line(each.line, checked.text, source)) for each in refused.refusals]
        raise Refused(*placed) from None


def _find_line(line: int | None, text: str, source: str) -> int | None:
    """Where a line of the plain text stood in the source as it was written."""
    if line is None:
        return None
    plain = text.splitlines()[line - 1].strip()
    statements = [each for each in ast.walk(parse_source(source)) if isinstance(each, ast.stmt)]
    written = (each for each in statements if ast.unparse(each).partition("\n")[0].replace("self.", "") == plain)
    return next((each.lineno for each in written), None)


def compile_source(checked: CheckedSource) -> dict[str, Any]:
    """The graph's document. Raises Refused."""
    tree = ast.parse(checked.text)
    integers = frozenset(each.name for each in checked.hyperparameters if isinstance(each.value, int))
    structural: frozenset[str] = frozenset()
    while True:
        try:
            return _Compilation(checked, tree, structural).document()
        except NumberNeeded as needed:
            structural |= needed.integers & integers
        except Refused:
            # Next to an integer tensor, or as an argument of PyTorch, 2 and 2.0 are not always the same.
            if structural == integers:
                raise
            structural = integers


class _Compilation:
    def __init__(self, checked: CheckedSource, tree: ast.Module, structural: frozenset[str]) -> None:
        self._checked = checked
        self._tree = tree
        self._structural = structural
        self._inputs = [each for each in INPUTS[checked.family] if each.name in checked.inputs]
        self._free = [each for each in checked.hyperparameters if each.name not in structural]
        self._interpreter: Interpreter | None = None

    def document(self) -> dict[str, Any]:
        recording = self._record()
        inputs = [each.name for place, each in enumerate(self._inputs) if place in recording.used]
        return {
            "v": GRAPH_VERSION,
            "family": self._checked.family.value,
            "torch": torch.__version__.partition("+")[0],
            "inputs": inputs,
            "hyperparameters": [
                {"name": each.name, "value": each.value, "structural": each.name in self._structural}
                for each in self._checked.hyperparameters
            ],
            "constants": recording.constants,
            "nodes": recording.nodes,
            "out": recording.out,
        }

    def _record(self) -> Recording:
        tensors = [_example(each) for each in self._inputs]
        tensors += [torch.tensor(float(each.value), dtype=torch.float64) for each in self._free]
        keep = frozenset(range(len(self._inputs), len(tensors)))
        try:
            return record(self._compute, tensors, keep=keep, find_line=self._find_line)
        except (Refused, NumberNeeded) as error:
            raise self._placed(error) from None
        except FAULTS as error:
            if is_out_of_memory(error):
                raise
            raise self._placed(explain(error, self._code())) from None

    def _compute(self, *tensors: Tensor) -> Tensor:
        values: dict[str, Any] = {}
        for declared, tensor in zip(self._inputs, tensors[: len(self._inputs)], strict=True):
            values[declared.name] = Scalar(tensor) if declared.shape is Shape.SCALAR else tensor
        for free, tensor in zip(self._free, tensors[len(self._inputs) :], strict=True):
            values[free.name] = Scalar(tensor, frozenset({free.name} if isinstance(free.value, int) else ()))
        values |= {each.name: each.value for each in self._checked.hyperparameters if each.name in self._structural}
        self._interpreter = Interpreter(self._tree)
        result = self._interpreter.call(self._checked.entry, values)
        if not isinstance(result, Tensor):
            raise refuse(RefusalCode.WRONG_SHAPE, "The loss must return one tensor with one number an example.")
        return result

    def _placed(self, error: Refused | NumberNeeded) -> Refused | NumberNeeded:
        """With the line, where the refusal has none."""
        line = self._find_line()
        refused = error.refused if isinstance(error, NumberNeeded) else error
        placed = Refused(*(Refusal(each.code, each.message, each.line or line) for each in refused.refusals))
        return NumberNeeded(error.integers, placed) if isinstance(error, NumberNeeded) else placed

    def _find_line(self) -> int | None:
        return getattr(self._interpreter.at, "lineno", None) if self._interpreter else None

    def _code(self) -> str:
        node = self._interpreter.at if self._interpreter else self._tree
        code = ast.unparse(node).splitlines()[0] if isinstance(node, ast.expr | ast.stmt) else "The source"
        return f"`{code[:_MOST_CODE]}`"


def _example(each: Input) -> Tensor:
    shape = {Shape.ROWS: (ROWS,), Shape.TOKENS: (ROWS, TOKENS), Shape.SCALAR: ()}[each.shape]
    if each.is_integer:
        return torch.zeros(shape, dtype=torch.int64)
    dtype = torch.float64 if each.shape is Shape.SCALAR else torch.float32
    return torch.zeros(shape, dtype=dtype, requires_grad=each.role is Role.POLICY)

"""Runs graphs: the only thing that computes a candidate's loss in training.

Covered: an operation is a key into a fixed table, never a name that is looked up; memory is bounded on the meta device
before any real run with inputs of a shape that was not seen yet; indices, probabilities and quotients that would end in
a device-side assertion or a trap of the processor are clamped. Not covered: what the values are; a loss may be NaN.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from discovery_service.losses.arguments import Argument, DType, InputDevice, Ref, find_refs
from discovery_service.losses.families import INPUTS, Input, Role, Shape, find_input
from discovery_service.losses.graph import Constant, Graph
from discovery_service.losses.nodes import Node
from discovery_service.losses.operators import OPERATORS, Operator
from discovery_service.losses.refusals import RefusalCode, Refused, refuse
from workers.runtime.bounds import Bounds, compute_size
from workers.runtime.faults import is_of_device
from workers.runtime.guards import GUARDS, Guard
from workers.runtime.repeatable import median

CHECKED_ROWS = (2, 3, 7, 64)
CHECKED_TOKENS = 5
_MAX_NUMEL, _MAX_TOTAL = 1 << 20, 1 << 24
"""Of one intermediate and of all, at the sizes above."""
_MAX_NUMEL_IN_USE, _MAX_TOTAL_IN_USE = 1 << 24, 1 << 26
"""At the sizes of a training, whose batches may be larger."""

BINDINGS: Mapping[str, Callable[..., Any]] = {
    "aten.add.Tensor": torch.add,
    "aten.sub.Tensor": torch.sub,
    "aten.rsub.Scalar": torch.rsub,
    "aten.mul.Tensor": torch.mul,
    "aten.div.Tensor": torch.div,
    "aten.neg.default": torch.neg,
    "aten.exp.default": torch.exp,
    "aten.log.default": torch.log,
    "aten.sigmoid.default": torch.sigmoid,
    "aten.log_sigmoid.default": torch.nn.functional.logsigmoid,
    "aten.relu.default": torch.relu,
    "aten.where.self": torch.where,
    "aten.median.dim": median,
}
"""Functions that are called in an overload's place. All but the median are the same ones without its detour over a
stack of boxed values: DPO forward and backward take 87 us instead of 98, and 70 as eager code."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One node. Everything it is given has a slot, so that a run is little more than the calls themselves."""

    node: Node
    function: Callable[..., Any]
    given: tuple[int, ...]
    keywords: tuple[tuple[str, int], ...]
    made: tuple[tuple[int, Argument], ...]
    """What has to be put together from earlier values first: a list of them, or one of several results."""
    guard: Guard | None


class Program:
    """A graph that can be run, on whatever device its inputs lie.

    Raises Refused where the candidate's graph is at fault, ValueError where the caller gives what the graph does not
    ask for. An accelerator that fails or is full raises torch's own error: whose doing that is, the graph cannot tell.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._literals: list[Argument] = []
        self._first = len(graph.leaves)
        live = set(graph.live_values())
        self._steps = [
            (slot, self._build_step(node)) for slot, node in enumerate(graph.nodes, start=self._first) if slot in live
        ]
        self._templates: dict[torch.device, list[Any]] = {}
        self._bounded: set[tuple[torch.Size, ...]] = set()

    def __call__(
        self, inputs: Mapping[str, torch.Tensor], hyperparameters: Mapping[str, float] | None = None
    ) -> torch.Tensor:
        """One loss a row, or two. `beta` and `progress` are 0-dimensional and float64, as hyper-parameters become."""
        missing = [name for name in self.graph.inputs if name not in inputs]
        if missing:
            raise ValueError(f"This loss also asks for {', '.join(missing)}: give every input of its family.")
        given = [inputs[name] for name in self.graph.inputs]
        shapes = tuple(each.shape for each in given)
        if shapes not in self._bounded:
            self._bound(given)
            self._bounded.add(shapes)
        device = given[0].device
        if torch.is_autocast_enabled(device.type):
            with torch.autocast(device.type, enabled=False):
                return self._run(given, hyperparameters or {})
        return self._run(given, hyperparameters or {})

    def check_shapes(self, rows: Sequence[int] = CHECKED_ROWS, tokens: int = CHECKED_TOKENS) -> int:
        """How many losses a row gets, 1 or 2; Refused unless it runs, in bounds and differentiably, at every size."""
        forms = {self._check_size(each, tokens) for each in rows}
        if len(forms) > 1:
            raise refuse(RefusalCode.WRONG_SHAPE, "The number of losses a row gets depends on the size of the batch.")
        self._check_gradient(min(rows), tokens)
        return forms.pop()

    def _make_given(self, rows: int, tokens: int, device: str) -> list[torch.Tensor]:
        declared = [each for each in INPUTS[self.graph.family] if each.name in self.graph.inputs]
        return [_make_input(each, rows, tokens, device) for each in declared]

    def _check_size(self, rows: int, tokens: int) -> int:
        given = self._make_given(rows, tokens, "meta")
        with torch.enable_grad():
            result = self._run(given, {}, Bounds(_MAX_NUMEL, _MAX_TOTAL))
        if result.dtype not in (torch.float32, torch.float64):
            raise refuse(RefusalCode.WRONG_DTYPE, f"The loss is of {result.dtype}: return float32 or float64.")
        form = _find_form(result, rows)
        if not result.requires_grad:
            raise refuse(
                RefusalCode.NOT_DIFFERENTIABLE,
                "No gradient flows from the loss to the policy's log-probabilities: do not detach, round or compare all"
                " of what depends on them.",
            )
        return form

    def _check_gradient(self, rows: int, tokens: int) -> None:
        """On real numbers, few of them: what a backward pass does not take, the meta device does not always tell."""
        given = self._make_given(rows, tokens, "cpu")
        with torch.enable_grad():
            result = self._run(given, {})
        try:
            torch.autograd.grad(result.sum(), [each for each in given if each.requires_grad], allow_unused=True)
        except Exception as error:
            raise refuse(
                RefusalCode.NOT_DIFFERENTIABLE,
                f"The loss has no gradient: {_shorten(error)}. Detach what goes into that, or write it otherwise.",
            ) from error

    def _bound(self, given: list[torch.Tensor]) -> None:
        metas = [torch.empty(tuple(each.shape), dtype=each.dtype, device="meta") for each in given]
        with torch.no_grad():
            result = self._run(metas, {}, Bounds(_MAX_NUMEL_IN_USE, _MAX_TOTAL_IN_USE))
        _find_form(result, _count_rows(self.graph, given))

    def _run(
        self, given: list[torch.Tensor], hyperparameters: Mapping[str, float], bounds: Bounds | None = None
    ) -> torch.Tensor:
        values = self._fill(given, hyperparameters)
        for slot, step in self._steps:
            try:
                values[slot] = _take(step, values, bounds)
            except Refused:
                raise
            except Exception as error:
                if is_of_device(error):
                    raise
                # Whatever else an operation raises, it is over what the graph gave it.
                raise _failed(step.node, given, error) from error
        try:
            result: torch.Tensor = _resolve(self.graph.out, values)
        except IndexError as error:
            raise refuse(RefusalCode.BAD_GRAPH, "The loss returns a part that a list does not have.") from error
        return result

    def _fill(self, given: list[torch.Tensor], hyperparameters: Mapping[str, float]) -> list[Any]:
        """A slot a value: the leaves, the nodes that are still to come, the literals."""
        device = given[0].device
        if device not in self._templates:
            self._templates[device] = self._make_template(device)
        values = self._templates[device].copy()
        values[: len(given)] = given
        if hyperparameters:
            slots = {each.name: slot for slot, each in enumerate(self.graph.free_hyperparameters, start=len(given))}
            if unknown := hyperparameters.keys() - slots:
                raise ValueError(f"This graph has no hyper-parameter {', '.join(sorted(unknown))} that can be set.")
            for name, value in hyperparameters.items():
                values[slots[name]] = _make_scalar(value, device)
        return values

    def _make_template(self, device: torch.device) -> list[Any]:
        return [
            *(None for _ in self.graph.inputs),
            *(_make_scalar(each.value, device) for each in self.graph.free_hyperparameters),
            *(_make_constant(each, device) for each in self.graph.constants),
            *(None for _ in self.graph.nodes),
            *(device if isinstance(each, InputDevice) else _fix(each) for each in self._literals),
        ]

    def _build_step(self, node: Node) -> _Step:
        operator = OPERATORS.get(node.operation)
        if operator is None:
            return self._bind(node, compute_size(node.operation), list(node.arguments.values()), {})
        positional = [each for each in operator.parameters if not each.is_keyword_only]
        last = max((index for index, each in enumerate(positional) if each.name in node.arguments), default=-1)
        given: list[Argument] = [node.arguments.get(each.name, each.default) for each in positional[: last + 1]]
        keywords = {
            name: each for name, each in node.arguments.items() if name not in {each.name for each in positional}
        }
        if operator.is_factory:
            # Without a device it would allocate for real in the check on the meta device.
            keywords["device"] = InputDevice()
        return self._bind(node, _find_function(operator), given, keywords)

    def _bind(
        self, node: Node, function: Callable[..., Any], given: list[Argument], keywords: dict[str, Argument]
    ) -> _Step:
        made: list[tuple[int, Argument]] = []
        slots = tuple(self._find_slot(each, made) for each in given)
        named = tuple((name, self._find_slot(each, made)) for name, each in keywords.items())
        return _Step(node, function, slots, named, tuple(made), guard=GUARDS.get(node.operation))

    def _find_slot(self, argument: Argument, made: list[tuple[int, Argument]]) -> int:
        if isinstance(argument, Ref) and argument.output is None:
            return argument.value
        slot = self._first + len(self.graph.nodes) + len(self._literals)
        self._literals.append(argument)
        if any(find_refs(argument)):
            made.append((slot, argument))
        return slot


def _find_function(operator: Operator) -> Callable[..., Any]:
    if operator.name in BINDINGS:
        return BINDINGS[operator.name]
    _, packet, overload = operator.name.split(".")
    function: Callable[..., Any] = getattr(getattr(torch.ops.aten, packet), overload)
    return function


def _fix(argument: Argument) -> Any:
    if isinstance(argument, DType):
        return getattr(torch, argument.name)
    return [_fix(each) for each in argument] if isinstance(argument, tuple) else argument


def _take(step: _Step, values: list[Any], bounds: Bounds | None) -> Any:
    for slot, argument in step.made:
        values[slot] = _resolve(argument, values)
    given = [values[slot] for slot in step.given]
    keywords = {name: values[slot] for name, slot in step.keywords} if step.keywords else {}
    if bounds is not None:
        bounds.check_call(step.node, given)
    if step.guard is not None:
        step.guard(given, keywords)
    if step.node.is_without_gradient:
        with torch.no_grad():
            result = step.function(*given, **keywords)
    else:
        result = step.function(*given, **keywords)
    if bounds is not None:
        bounds.check_result(step.node, result)
    return result


def _resolve(argument: Argument, values: list[Any]) -> Any:
    if isinstance(argument, Ref):
        value = values[argument.value]
        return value if argument.output is None else value[argument.output]
    return [_resolve(each, values) for each in argument] if isinstance(argument, tuple) else argument


def _make_scalar(value: float, device: torch.device) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, device=device)


def _make_input(declared: Input, rows: int, tokens: int, device: str) -> torch.Tensor:
    """Ones, and log-probabilities of -1."""
    shape = {Shape.ROWS: (rows,), Shape.TOKENS: (rows, tokens), Shape.SCALAR: ()}[declared.shape]
    dtype = torch.float64 if declared.role is Role.SETTING else torch.int64 if declared.is_integer else torch.float32
    value = -1 if declared.role in (Role.POLICY, Role.REFERENCE) else 1
    return torch.full(shape, value, dtype=dtype, device=device, requires_grad=declared.role is Role.POLICY)


def _make_constant(constant: Constant, device: torch.device) -> torch.Tensor:
    return torch.tensor(constant.data, dtype=getattr(torch, constant.dtype), device=device).reshape(constant.shape)


def _count_rows(graph: Graph, given: list[torch.Tensor]) -> int:
    for name, tensor in zip(graph.inputs, given, strict=True):
        declared = find_input(graph.family, name)
        if declared is not None and declared.role is Role.POLICY:
            return tensor.shape[0]
    raise AssertionError("a graph was read without an input of the policy")


def _find_form(result: torch.Tensor, rows: int) -> int:
    shape = tuple(result.shape)
    if shape in ((rows,), (2 * rows,)):
        return 1 if shape == (rows,) else 2
    if shape == ():
        raise refuse(
            RefusalCode.SCALAR_RESULT, "The loss is one number: return one loss a row, without the mean at the end."
        )
    raise refuse(
        RefusalCode.WRONG_SHAPE, f"The loss has the shape {shape} for {rows} rows: return one loss a row, ({rows},)."
    )


def _failed(node: Node, given: list[torch.Tensor], error: Exception) -> Refused:
    shapes = ", ".join(sorted({str(tuple(each.shape)) for each in given}))
    return refuse(
        RefusalCode.WRONG_ARGUMENT,
        f"The operation {node.operation} fails for inputs of shape {shapes}: {_shorten(error)}.",
    )


def _shorten(error: Exception) -> str:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ascii(said[:160])[1:-1].rstrip(".!")

"""Records what an interpreted source computes, for every batch size at once, and writes it as a graph's document.

`make_fx` with symbolic sizes at the level before autograd: there `no_grad` is still seen, and no operation is split.
What was assumed about sizes on the way stands in its guards; one that does not hold for all sizes is a branch on them.

Covered: sizes from 2 on. Not covered: a batch of one, which PyTorch's symbolic sizes treat apart.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx
from torch._dynamo import config as dynamo_config
from torch._guards import detect_fake_mode
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx

from discovery_service.losses.operators import OPERATORS, SYNONYMS
from discovery_service.losses.refusals import RefusalCode, refuse

ROWS, TOKENS = 5, 7
"""Sizes of the recording: unequal, and no other number that is likely in a source equals both."""
_BATCH_SIZES = (*range(2, 66), 96, 100, 127, 128, 255, 256, 500, 512, 1000, 1024, 2048, 4096)
_LENGTHS = (*range(2, 34), 64, 100, 127, 128, 512, 1000, 1024, 2048)
_FEW_SIZES = (2, 3, 4, 5, 7, 16, 63, 64, 100, 512, 4096)
"""For a condition on both: each pair of values takes a tenth of a millisecond."""
MAX_CONSTANT = 1024
_LINE = "line"
_LEFT_OUT = frozenset({"layout", "pin_memory", "memory_format", "non_blocking", "implicit", "copy"})
_SAME_VALUE = frozenset({"aten.lift_fresh_copy.default", "aten.lift_fresh.default", "aten.detach_.default"})
"""What surrounds a constant in a recording, which is nobody else's memory."""
_ON_SIZES: Mapping[Any, str] = MappingProxyType(
    {
        torch.ops.aten.sym_size.int: "sym_size",
        operator.add: "sym_add",
        operator.sub: "sym_sub",
        operator.mul: "sym_mul",
        operator.floordiv: "sym_floordiv",
        operator.mod: "sym_mod",
        operator.neg: "sym_neg",
        operator.truediv: "sym_truediv",
        torch.sym_float: "sym_float",
        torch.sym_max: "sym_max",
        torch.sym_min: "sym_min",
    }
)


@dataclass(frozen=True)
class Recording:
    constants: list[dict[str, Any]]
    nodes: list[dict[str, Any]]
    out: dict[str, int]
    used: list[int]
    """Which of the function's tensors the result depends on; references count these alone."""


def record(
    function: Callable[..., Any],
    tensors: list[Tensor],
    *,
    keep: frozenset[int],
    find_line: Callable[[], int | None] = lambda: None,
) -> Recording:
    """`keep` names tensors that are counted whether they are used or not; `find_line` tells what is being computed."""

    guards = _Guards(find_line)

    def marked(*given: Tensor) -> Any:
        _mark_lines(find_line)
        guards.watch(given)
        return function(*given)

    trace = make_fx(marked, tracing_mode="symbolic", pre_dispatch=True, _allow_non_fake_inputs=False)
    # Its keys hold this recording's symbols, so nothing is ever found in it; keeping it took 30 % of the time.
    with dynamo_config.patch(fake_tensor_cache_enabled=False):
        module = trace(*tensors)
    guards.check()
    return _Writer(module, keep).write()


def _mark_lines(find_line: Callable[[], int | None]) -> None:
    """From now on each node of the recording knows its line of the source."""
    mode = get_proxy_mode()
    assert mode is not None
    create: Callable[..., fx.Node] = mode.tracer.create_node

    def create_node(*arguments: Any, **keywords: Any) -> fx.Node:
        node = create(*arguments, **keywords)
        node.meta[_LINE] = find_line()
        return node

    mode.tracer.create_node = create_node  # type: ignore[method-assign]


class _Guards(list[Any]):
    """What was assumed about sizes, and on which line."""

    def __init__(self, find_line: Callable[[], int | None]) -> None:
        super().__init__()
        self._find_line = find_line
        self._lines: list[int | None] = []
        self._known: Any = None

    def watch(self, given: Sequence[Tensor]) -> None:
        mode = detect_fake_mode(given)
        assert mode is not None
        self._known = mode.shape_env
        self.extend(self._known.guards)
        self._lines = [None] * len(self)
        self._known.guards = self

    def append(self, guard: Any) -> None:
        super().append(guard)
        self._lines.append(self._find_line())

    def check(self) -> None:
        for guard, line in zip(self, self._lines, strict=True):
            if not self._holds(guard.expr):
                raise refuse(
                    RefusalCode.BRANCH_ON_BATCH_SIZE,
                    "The loss computes something else at another batch size or length, by a condition on the shape or a"
                    " fixed size: write what holds for every size, as in torch.zeros_like(x) or x.mean().",
                    line,
                )

    def _holds(self, condition: Any) -> bool:
        symbols = sorted(condition.free_symbols, key=str)
        lengths = self._known.backed_var_to_val
        sizes = [_LENGTHS if lengths.get(each) == TOKENS else _BATCH_SIZES for each in symbols]
        if len(symbols) > 1:
            sizes = [_FEW_SIZES] * len(symbols)
        return all(bool(condition.subs(dict(zip(symbols, some, strict=True)))) for some in product(*sizes))


class _Writer:
    def __init__(self, module: fx.GraphModule, keep: frozenset[int]) -> None:
        self._module = module
        self._references: dict[fx.Node, dict[str, int]] = {}
        self._constants: list[dict[str, Any]] = []
        self._nodes: list[dict[str, Any]] = []
        nodes = list(module.graph.nodes)
        result = nodes[-1].args[0]
        if not isinstance(result, fx.Node):
            raise refuse(RefusalCode.NOT_DIFFERENTIABLE, "The loss does not depend on the policy: use its inputs.")
        self._result = result
        self._live = _reach(result)
        inputs = [each for each in nodes if each.op == "placeholder"]
        self._used = [place for place, each in enumerate(inputs) if each in self._live or place in keep]
        for place in self._used:
            self._references[inputs[place]] = {"r": len(self._references)}

    def write(self) -> Recording:
        nodes = [each for each in self._module.graph.nodes if each.op in ("get_attr", "call_function")]
        self._write_constants([each for each in nodes if each.op == "get_attr" and each in self._live])
        base, tracks_gradients = len(self._used) + len(self._constants), True
        for node in nodes:
            if node.target is torch._C._set_grad_enabled:
                tracks_gradients = bool(node.args[0])
            elif node.op == "call_function" and node in self._live:
                self._write_node(node, base, tracks_gradients)
        return Recording(self._constants, self._nodes, self._references[self._result], self._used)

    def _write_constants(self, nodes: list[fx.Node]) -> None:
        for node in nodes:
            constant = _write_constant(getattr(self._module, str(node.target)))
            if constant not in self._constants:
                self._constants.append(constant)
            self._references[node] = {"r": len(self._used) + self._constants.index(constant)}

    def _write_node(self, node: fx.Node, base: int, tracks_gradients: bool) -> None:
        target: Any = node.target
        if target is operator.getitem:
            source, place = node.args
            assert isinstance(source, fx.Node)
            assert isinstance(place, int)
            self._references[node] = {**self._references[source], "o": place}
            return
        if target is torch.ops.aten.sym_numel.default:
            self._write_numel(node, base)
            return
        name = _ON_SIZES.get(target) or _name_operation(target, node.meta.get(_LINE))
        if name in _SAME_VALUE:
            source = node.args[0]
            assert isinstance(source, fx.Node)
            self._references[node] = self._references[source]
            return
        document: dict[str, Any] = {"op": name, "a": [self._write_argument(each) for each in node.args]}
        keywords = {key: self._write_argument(value) for key, value in node.kwargs.items() if key not in _LEFT_OUT}
        if keywords:
            document["k"] = keywords
        if not tracks_gradients and not name.startswith("sym_"):
            document["ng"] = True
        self._references[node] = {"r": base + len(self._nodes)}
        self._nodes.append(document)

    def _write_numel(self, node: fx.Node, base: int) -> None:
        """A graph knows the sizes of dimensions, and no other: their product."""
        (tensor,) = node.args
        assert isinstance(tensor, fx.Node)
        source = self._references[tensor]
        for dimension in range(tensor.meta["val"].dim()):
            self._nodes.append({"op": "sym_size", "a": [source, dimension]})
            if dimension:
                left, right = ({"r": base + len(self._nodes) - back} for back in (2, 1))
                self._nodes.append({"op": "sym_mul", "a": [left, right]})
        self._references[node] = {"r": base + len(self._nodes) - 1}

    def _write_argument(self, value: Any) -> Any:
        match value:
            case fx.Node():
                return self._references[value]
            case None | bool() | int() | str():
                return value
            case float():
                return _write_float(value)
            case torch.dtype():
                return {"t": str(value).removeprefix("torch.")}
            case torch.device():
                return {"d": "in"}
            case list() | tuple():
                return {"l": [self._write_argument(each) for each in value]}
        raise refuse(RefusalCode.WRONG_ARGUMENT, f"A {type(value).__name__} cannot be an argument in a graph.")


def _reach(result: fx.Node) -> set[fx.Node]:
    """All nodes that the result depends on."""
    live, todo = set(), [result]
    while todo:
        node = todo.pop()
        if node not in live:
            live.add(node)
            todo += node.all_input_nodes
    return live


def _name_operation(target: Any, line: int | None) -> str:
    name = str(target)
    if isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable and name not in _SAME_VALUE:
        message = f"{name} writes into a tensor: compute a new one, as with torch.where."
        raise refuse(RefusalCode.IN_PLACE, message, line)
    if name not in _SAME_VALUE and SYNONYMS.get(name, name) not in OPERATORS:
        words = ascii(getattr(target, "__name__", name))[1:-1][:60].removesuffix(".default")
        message = f"{words} cannot be in a graph: use plain tensor operations."
        raise refuse(RefusalCode.OPERATION_NOT_ALLOWED, message, line)
    return name


def _write_constant(tensor: Tensor) -> dict[str, Any]:
    if tensor.numel() > MAX_CONSTANT:
        raise refuse(RefusalCode.TOO_MUCH_MEMORY, f"A constant tensor may have {MAX_CONSTANT} elements.")
    data = [_write_float(each) if isinstance(each, float) else each for each in tensor.detach().reshape(-1).tolist()]
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": data}


def _write_float(value: float) -> float | dict[str, str]:
    return value if math.isfinite(value) else {"f": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}

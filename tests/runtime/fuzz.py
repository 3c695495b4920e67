"""Mutates good graphs at random and gives them to the reader, the shape check and a real run with gradients.

    python -m tests.runtime.fuzz SEED COUNT

prints a JSON line of what came of it. A graph that is refused is fine; any other exception is not. It runs as a process
of its own, under a bound on memory and time, so that a crash ends nothing but itself; the last document stands in the
file that a third argument names.
"""

import copy
import json
import random
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from discovery_service.losses.canonical import hash_graph
from discovery_service.losses.formula import find_formula
from discovery_service.losses.graph import read_graph
from discovery_service.losses.operators import OPERATORS, SIZE_OPERATORS, Kind, Parameter
from discovery_service.losses.printer import print_graph
from discovery_service.losses.refusals import Refused
from tests.losses.graphs import GOOD, Document
from tests.runtime.inputs import make_inputs
from workers.runtime.graph import Program
from workers.runtime.memory import read_sizes

MEMORY_BYTES = 2 << 30
"""On top of what a process takes that has imported torch."""
CPU_S = 300
_OPERATIONS = [*OPERATORS, *SIZE_OPERATORS]
_ODD: list[Any] = [
    *(0, 1, -1, 2, 3, 64, 1 << 20, -(1 << 20), (1 << 53) - 1, (1 << 63) - 1, -(1 << 63), 1e30, -1e30, 1e-30, 0.5),
    *(True, False, None, "none", "sum", "trunc", "i,j->ij", [], {}, {"f": "nan"}, {"f": "-inf"}, {"t": "float16"}),
    *({"t": "bool"}, {"t": "int32"}, {"d": "in"}, {"l": []}, {"l": [0]}, {"l": [2, -1]}, {"l": [1 << 20, 1 << 20]}),
    *({"l": [{"r": 0}, {"r": 1}]}, {"r": -1}, {"r": 0, "o": 0}, {"r": 12, "o": 1}, {"r": 10**9}),
]


class Mutator:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._pool = [*GOOD.values()]

    def draw(self) -> Document:
        document = copy.deepcopy(self._random.choice(self._pool))
        for _ in range(self._random.randint(1, 4)):
            self._mutate(document)
        if self._random.random() < 0.05:
            field = self._random.choice(["inputs", "constants", "hyperparameters", "nodes", "family"])
            document[field] = self._random.choice([*_ODD, self._make_constants()])
        return document

    def keep(self, document: Document) -> None:
        """Mutate it further: it was good."""
        if len(document["nodes"]) < 30:
            self._pool.append(document)
            del self._pool[len(GOOD) : -200]

    def _mutate(self, document: Document) -> None:
        nodes, chance = document["nodes"], self._random.random()
        if chance < 0.5:
            nodes.append(self._make_node(document))
            self._lead_to_result(document)
        elif chance < 0.75:
            node = self._random.choice(nodes)
            if type(node.get("a")) is list and node["a"]:
                node["a"][self._random.randrange(len(node["a"]))] = self._draw_argument(document)
        elif chance < 0.9:
            document["out"] = self._draw_ref(document)
        else:
            self._random.choice(nodes)[self._random.choice(["k", "a", "op", "ng"])] = self._draw_argument(document)

    def _lead_to_result(self, document: Document) -> None:
        """What leads nowhere is not run: let the result depend on the newest node."""
        nodes, out = document["nodes"], document["out"]
        first = len(document["inputs"]) + len(document["hyperparameters"]) + len(document["constants"])
        newest = {"r": first + len(nodes) - 1}
        if OPERATORS.get(nodes[-1]["op"]) is not None and OPERATORS[nodes[-1]["op"]].outputs != 1:
            newest["o"] = 0
        if self._random.random() < 0.4:
            document["out"] = newest
            return
        nodes.append({"op": "aten.to.dtype", "a": [newest, {"t": "float32"}]})
        nodes.append({"op": "aten.mean.default", "a": [{"r": first + len(nodes) - 1}]})
        nodes.append({"op": "aten.add.Tensor", "a": [out, {"r": first + len(nodes) - 1}]})
        document["out"] = {"r": first + len(nodes) - 1}

    def _make_node(self, document: Document) -> Document:
        operation = self._random.choice(_OPERATIONS)
        if operation in SIZE_OPERATORS:
            return {"op": operation, "a": [self._draw_argument(document) for _ in SIZE_OPERATORS[operation]]}
        node: Document = {"op": operation, "a": [], "ng": self._random.random() < 0.1}
        for parameter in OPERATORS[operation].parameters:
            if not parameter.is_required and self._random.random() < 0.6:
                break
            value = self._draw_for(parameter, document)
            if parameter.is_keyword_only:
                node.setdefault("k", {})[parameter.name] = value
            else:
                node["a"].append(value)
        return node

    def _draw_for(self, parameter: Parameter, document: Document) -> Any:
        if self._random.random() < 0.1:
            return self._draw_argument(document)
        match parameter.kind:
            case Kind.TENSOR:
                return self._draw_ref(document)
            case Kind.TENSORS:
                return {"l": [self._draw_ref(document) for _ in range(self._random.randint(1, 3))]}
            case Kind.INTEGERS:
                return {"l": [self._random.choice([0, -1, 1, 2, 64, 4096]) for _ in range(self._random.randint(1, 2))]}
            case Kind.INTEGER:
                return self._random.choice([0, 1, -1, 2, 1000])
            case Kind.NUMBER:
                return self._random.choice([0, 1, -1, 0.5, 2, 1e9, 1 << 40])
            case Kind.FLAG:
                return self._random.choice([True, False])
            case Kind.TEXT:
                return self._random.choice(
                    ["floor", "trunc", "nearest", "linear", "tanh", "i,j->ij", "ij,jk->ik", "i->"]
                )
            case Kind.DTYPE:
                return {
                    "t": self._random.choice(["float32", "float64", "float16", "bfloat16", "int64", "int32", "bool"])
                }
            case Kind.DEVICE:
                return {"d": "in"}

    def _draw_argument(self, document: Document) -> Any:
        return copy.deepcopy(self._random.choice([*_ODD, *(self._draw_ref(document) for _ in range(len(_ODD)))]))

    def _draw_ref(self, document: Document) -> Document:
        values = sum(len(document[each]) for each in ("inputs", "nodes") if type(document[each]) in (list, dict)) + 2
        ref: Document = {"r": self._random.randrange(values)}
        return ref | {"o": self._random.randrange(3)} if self._random.random() < 0.1 else ref

    def _make_constants(self) -> list[Document]:
        low, high = -(1 << 31) + 1, (1 << 53) - 1
        return [
            {"dtype": "int32", "shape": [2], "data": [low, -1]},
            {"dtype": "int64", "shape": [3], "data": [-high, high, -7]},
            {"dtype": "float32", "shape": [2, 2], "data": [0.0, -0.0, {"f": "nan"}, 3e38]},
        ]


def _run(text: str, rows: int) -> str:
    """What came of the document."""
    try:
        graph = read_graph(json.loads(text))
    except (Refused, ValueError):
        return "refused by the reader"
    program = Program(graph)
    inputs = make_inputs(graph.family, rows)
    before = {name: each.detach().clone() for name, each in inputs.items()}
    try:
        program.check_shapes()
        outcome = "accepted"
    except Refused:
        outcome = "refused by the shapes"
    hash_graph(graph), find_formula(graph), compile(print_graph(graph), "<printed>", "exec")
    try:
        # Also of what the check refused: the runtime must stand it too.
        result = program(inputs)
    except Refused:
        return f"{outcome}, refused when run"
    if outcome == "accepted":
        policy = [each for each in inputs.values() if each.requires_grad]
        torch.autograd.grad(result.double().sum(), policy, allow_unused=True)
    if any(not torch.equal(inputs[name].detach(), each) for name, each in before.items()):
        raise AssertionError("the inputs were changed")
    return f"{outcome}, run"


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def main(seed: int, count: int, last: Path | None) -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.autograd.set_multithreading_enabled(False)
    _run(json.dumps(GOOD["ranked"]), 5)
    _limit()
    mutator, outcomes, unexpected = Mutator(seed), dict[str, int](), list[str]()
    for number in range(count):
        document = mutator.draw()
        text = json.dumps(document)
        if last is not None:
            last.write_text(text, encoding="utf-8")
        try:
            outcome = _run(text, rows=(5, 2, 33)[number % 3])
        except Exception as error:  # noqa: BLE001 (finding any is what this is for)
            outcome = "unexpected"
            unexpected.append(f"{type(error).__name__}: {str(error)[:200]} in {text[:3000]}")
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if outcome == "accepted, run":
            mutator.keep(document)
    # What getrusage says begins with the memory of the process that started this one.
    peak = read_sizes()["VmHWM"]
    print(json.dumps({"outcomes": outcomes, "unexpected": unexpected[:5], "max_rss_bytes": peak}))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)

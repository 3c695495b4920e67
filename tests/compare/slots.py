"""Slots of a comparison: real runtimes that know the toy arena, or scripted ones that answer at once."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any, cast

from discovery_service.domain.families import Family
from discovery_service.losses.described import list_described
from discovery_service.losses.graph import Graph, read_graph
from tests.runtime import toy
from workers.compare.contest import Contender, Contest, Place
from workers.gate.submitted import Judged
from workers.runtime.protocol import Evaluate
from workers.slots import Slots
from workers.supervisor.devices import CPU
from workers.supervisor.outcome import Limits, Measured, Outcome
from workers.supervisor.runtime import Runtime
from workers.trainings import Loss

TOY = (sys.executable, "-I", str(Path(toy.__file__)), "--device", "cpu", "--cache", "/nowhere")
LIMITS = Limits(evaluation_s=1000, stall_s=1000)
SETTING = {"beta": 1.0, "learning_rate": 0.05, "steps": 8}

Answer = Callable[[Evaluate], Outcome]


class Recording(Runtime):
    """A real one whose orders are seen."""

    def __init__(self, orders: list[Evaluate]) -> None:
        super().__init__(TOY, {"PATH": "/usr/bin:/bin"})
        self.orders = orders

    def evaluate(self, order: Evaluate, *args: Any, **kwargs: Any) -> Outcome:
        self.orders.append(order)
        return super().evaluate(order, *args, **kwargs)


class Scripted:
    """Answers at once, by what is asked of it."""

    def __init__(self, orders: list[Evaluate], answer: Answer) -> None:
        self.orders, self._answer = orders, answer

    def evaluate(self, order: Evaluate, limits: Limits, *, stop: Event, on_progress: Any) -> Outcome:
        self.orders.append(order)
        return self._answer(order)

    def __exit__(self, *_: object) -> None:
        pass


def scripted(answer: Answer, slots: int = 2) -> tuple[Slots, list[Evaluate]]:
    orders: list[Evaluate] = []
    runtimes = [Scripted(orders, answer) for _ in range(slots)]
    return Slots([CPU] * slots, cast(Sequence[Runtime], runtimes), LIMITS), orders


def measured(value: float) -> Measured:
    return Measured({"J": value, "reward": value + 1, "kl": 1.0}, {}, 1.0)


def graph(name: str) -> Graph:
    return read_graph(list_described(Family.PAIRWISE)[name].graph)


def contender(name: str, of: str | None = None, found: Graph | None = None) -> Contender:
    """Of the library's loss `of`, or of a graph, under a name."""
    known = list_described(Family.PAIRWISE)[of or name]
    told = ("code", "message", "line", "refusals")
    answer = {
        **dict.fromkeys(told),
        "status": "accepted",
        "graph_sha256": known.graph_sha256,
        "formula": known.formula,
        "isolation": "full",
        "passport": known.passport,
    }
    return Contender(name, Judged(answer, None), Loss.of(found or graph(of or name)))


def place(draws: int = 6, seed: int = 0, policies: int = 3, **changes: Any) -> Place:
    return Place(toy.document(setting=SETTING, **changes), tuple(range(policies)), draws, seed)


def contest(*names: str, against: str = "dpo", where: Place | None = None) -> Contest:
    return Contest(where or place(), contender(against), tuple(map(contender, names)))

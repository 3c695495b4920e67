"""The losses that a paper's world is trained with: the library's, through the gate, at whatever numbers an arm sets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.losses.canonical import canonicalise
from discovery_service.losses.graph import Graph
from discovery_service.losses.known import list_known
from workers.gate.archives import library_archive
from workers.gate.road import Passed, Submission, pass_gate
from workers.supervisor.jail import Jail


@dataclass(frozen=True)
class Arm:
    loss: str
    """By its name in the library."""
    family: Family
    beta: float = 1.0
    values: Mapping[str, float] = field(default_factory=dict)
    """Of its own hyper-parameters, those that are not at their defaults."""


class LibraryRefused(Exception):
    """The gate does not take a loss of the library: that is a fault of ours."""


class Admission:
    """The gate as reproductions use it. Each loss passes once, whatever its numbers."""

    def __init__(self, jail: Jail) -> None:
        self._jail = jail
        self._passed: dict[tuple[Family, str], Passed] = {}

    def admit(self, arms: Mapping[str, Arm]) -> dict[str, Graph]:
        """The graph of each arm, with its numbers. Raises JailUnavailable, or LibraryRefused."""
        return {
            name: _set(canonicalise(self._pass(arm.family, arm.loss).graph), arm.values) for name, arm in arms.items()
        }

    def read_passport(self, family: Family, loss: str) -> Mapping[str, Any]:
        """What the gate's probes have found, at the loss's own numbers. Raises as `admit` does."""
        return self._pass(family, loss).passport

    def _pass(self, family: Family, loss: str) -> Passed:
        if (family, loss) not in self._passed:
            text = next(known.text for known in list_known(family) if known.name == loss)
            verdict = pass_gate(self._jail, Submission(text, family, name=loss), library_archive(family))
            if verdict.passed is None or not verdict.is_accepted:
                raise LibraryRefused(f"The gate refuses {family}/{loss}: {verdict.refusals[0].message}")
            self._passed[family, loss] = verdict.passed
        return self._passed[family, loss]


def _set(graph: Graph, values: Mapping[str, float]) -> Graph:
    """Free hyper-parameters are inputs of a graph: another number needs no second compile."""
    free = {each.name for each in graph.free_hyperparameters}
    if missing := values.keys() - free:
        raise ValueError(f"The loss has no hyper-parameter {_join(missing)} that can be set.")
    changed = (replace(each, value=values.get(each.name, each.value)) for each in graph.hyperparameters)
    return replace(graph, hyperparameters=tuple(changed))


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

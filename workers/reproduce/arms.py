"""The losses that a paper's world is trained with: the library's, through the gate, at whatever numbers an arm sets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from discovery_service.domain.families import Family
from discovery_service.losses.canonical import canonicalise
from discovery_service.losses.graph import Graph
from discovery_service.losses.known import list_known
from workers.gate.archives import library_archive
from workers.gate.road import Submission, pass_gate
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
        self._graphs: dict[tuple[Family, str], Graph] = {}

    def admit(self, arms: Mapping[str, Arm]) -> dict[str, Graph]:
        """The graph of each arm, with its numbers. Raises JailUnavailable, or LibraryRefused."""
        return {name: _set(self._find_graph(arm.family, arm.loss), arm.values) for name, arm in arms.items()}

    def _find_graph(self, family: Family, loss: str) -> Graph:
        if (family, loss) not in self._graphs:
            self._graphs[family, loss] = self._pass(family, loss)
        return self._graphs[family, loss]

    def _pass(self, family: Family, loss: str) -> Graph:
        text = next(known.text for known in list_known(family) if known.name == loss)
        verdict = pass_gate(self._jail, Submission(text, family, name=loss), library_archive(family))
        if verdict.passed is None or not verdict.is_accepted:
            raise LibraryRefused(f"The gate refuses {family}/{loss}: {verdict.refusals[0].message}")
        return canonicalise(verdict.passed.graph)


def _set(graph: Graph, values: Mapping[str, float]) -> Graph:
    """Free hyper-parameters are inputs of a graph: another number needs no second compile."""
    free = {each.name for each in graph.free_hyperparameters}
    if missing := values.keys() - free:
        raise ValueError(f"The loss has no hyper-parameter {_join(missing)} that can be set.")
    changed = (replace(each, value=values.get(each.name, each.value)) for each in graph.hyperparameters)
    return replace(graph, hyperparameters=tuple(changed))


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

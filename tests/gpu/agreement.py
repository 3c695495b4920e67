"""Whether a card computes a loss as a processor does, in value, gradient and the first steps of training, and whether
it computes the same twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from discovery_service.domain.arenas import find_document
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.losses.described import DescribedLoss, list_described
from discovery_service.losses.families import INPUTS, Role
from discovery_service.losses.graph import Graph, read_graph
from discovery_service.losses.refusals import Refused
from workers.arenas.arena import Arena
from workers.arenas.opening import open_arena
from workers.jail.batches import make_batch, make_weights
from workers.jail.cases import CASES, Case
from workers.runtime.divergence import Diverged
from workers.runtime.graph import Program
from workers.runtime.optimisation import Optimisation
from workers.runtime.repeatable import repeatable
from workers.runtime.trainer import train

CPU = torch.device("cpu")
ARENAS: Mapping[Family, str] = {
    Family.PAIRWISE: "plain:mini",
    Family.AUXILIARY: "guardrail:mini",
    Family.OUTCOME: "outcome:mini",
    Family.MATCHING: "plurality:mini",
}
SETTING = Setting(beta=0.5, learning_rate=1.5e-3, steps=20)
DRAW = Draw(Purpose.CALIBRATE, "card")
STEADY = {"steps": 1e-4, "weights": 0.3}
"""Up to where two trainings agree. Between two ways of attention on one processor 38 of 42 losses differ by at most
7.1e-6 and .10 (conditional_pm; among pairs .03). The other four begin on a kink, so that rounding decides on the first
step: dpop differs by .12 and 10, sign by .09 and 9, padll by .045 and 3, aqfl by .006 and 1.3."""


@dataclass(frozen=True)
class Examined:
    """One loss. What could not be computed is None, and `trouble` says why."""

    loss: str
    value: float | None = None
    """The largest relative difference of card and processor, each number held against the mean of all as well."""
    gradient: float | None = None
    steps: float | None = None
    """The same of the losses of the first steps."""
    weights: float | None = None
    """The largest difference after them, over the learning rate, by which a step moves a weight."""
    is_steady: bool | None = None
    """Whether its training agrees with itself on the processor when only rounding changes."""
    repeats: bool | None = None
    """Whether the card gave the same bits twice, measurements included."""
    trouble: str = ""


@dataclass(frozen=True)
class Trained:
    setting: Setting
    series: dict[str, list[float]]
    weights: list[Tensor]
    metrics: dict[str, float | None]


class Arenas:
    """One of each family, the same on both devices."""

    def __init__(self, device: torch.device, cache: Path) -> None:
        self._documents = {family: _find_document(name) for family, name in ARENAS.items()}
        self._arenas: dict[tuple[Family, torch.device], Arena] = {
            (family, each): open_arena(document, each, cache)
            for family, document in self._documents.items()
            for each in (CPU, device)
        }

    def train(self, graph: Graph, device: torch.device, attention: str = "eager") -> Trained:
        document = self._documents[graph.family]
        task: Any = self._arenas[graph.family, device].open(0, DRAW)
        task.policy.model.set_attn_implementation(attention)
        setting = replace(Setting(**document["setting"]), steps=SETTING.steps) if "setting" in document else SETTING
        trained = train(task, Program(graph), graph.family, setting, Optimisation.of(document["recipe"]))
        weights = [each.detach().cpu() for each in task.policy.parameters()]
        return Trained(setting, trained.series, weights, task.measure())


def _find_document(name: str) -> dict[str, Any]:
    document = find_document(name)
    assert document is not None
    return document


def list_losses(names: Sequence[str] = ()) -> list[DescribedLoss]:
    """Of the library, all families; all unless some are named."""
    found = (loss for family in Family for loss in list_described(family).values())
    return [loss for loss in found if not names or loss.name in names]


def examine(loss: DescribedLoss, device: torch.device, arenas: Arenas) -> Examined:
    graph = read_graph(loss.graph)
    figures: dict[str, Any] = {}
    try:
        with repeatable():
            figures["value"], figures["gradient"] = _compare_values(graph, device)
            figures |= _compare_trainings(graph, device, arenas)
    except (Refused, Diverged, RuntimeError) as error:
        figures["trouble"] = str(error).strip().splitlines()[0]
    # DPO is of two families, and trains on other rows in each.
    name = loss.name if graph.family is Family.PAIRWISE else f"{loss.name} ({graph.family})"
    return Examined(name, **figures)


def _compare_values(graph: Graph, device: torch.device) -> tuple[float, float]:
    values, gradients = [], []
    for case in CASES:
        here, there = (_run(graph, case, each) for each in (CPU, device))
        values.append(find_difference(here[0], there[0]))
        gradients.append(find_difference(torch.cat(here[1:]), torch.cat(there[1:])))
    return max(values), max(gradients)


def _run(graph: Graph, case: Case, device: torch.device) -> list[Tensor]:
    """The losses, and the gradient of their weighted sum at each of the policy's inputs."""
    batch = {name: each.to(device) for name, each in make_batch(graph.family, case.rows, case.seed).items()}
    policy = [batch[each.name].requires_grad_() for each in INPUTS[graph.family] if each.role is Role.POLICY]
    settings = {"beta": case.beta, "progress": case.progress}
    given = {name: torch.tensor(value, dtype=torch.float64, device=device) for name, value in settings.items()}
    losses = Program(graph)({**batch, **given})
    total = (losses * make_weights(len(losses), case.seed).to(device)).sum()
    slopes = torch.autograd.grad(total, policy, allow_unused=True)
    zero = [torch.zeros_like(each) for each in policy]
    found = [losses.detach(), *(none if each is None else each for each, none in zip(slopes, zero, strict=True))]
    return [each.cpu().double().flatten() for each in found]


def _compare_trainings(graph: Graph, device: torch.device, arenas: Arenas) -> dict[str, Any]:
    rounded_otherwise, here = arenas.train(graph, CPU, "sdpa"), arenas.train(graph, CPU)
    there, again = arenas.train(graph, device), arenas.train(graph, device)
    at_home = _compare_steps(here, rounded_otherwise)
    return {
        **_compare_steps(here, there),
        "is_steady": all(at_home[name] <= bound for name, bound in STEADY.items()),
        "repeats": _is_same(there, again),
    }


def _compare_steps(one: Trained, other: Trained) -> dict[str, float]:
    steps = (torch.tensor(each.series["loss"], dtype=torch.float64) for each in (one, other))
    pairs = zip(one.weights, other.weights, strict=True)
    return {
        "steps": find_difference(*steps),
        "weights": max(float((left - right).abs().max()) for left, right in pairs) / one.setting.learning_rate,
    }


def _is_same(one: Trained, other: Trained) -> bool:
    same_weights = all(map(torch.equal, one.weights, other.weights))
    return same_weights and (one.series, one.metrics) == (other.series, other.metrics)


def find_difference(wanted: Tensor, found: Tensor) -> float:
    """Relative; what cancels to almost nothing is held against the others. Nothing finite is like what is not."""
    scale = wanted.abs() + wanted.abs().mean()
    difference = (wanted - found).abs() / scale.clamp(min=1e-30)
    return float(difference.nan_to_num(nan=float("inf")).max())

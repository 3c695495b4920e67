"""Reward and KL of losses over beta in a transformers arena, all else as its recipe has it, on the same draws."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from discovery_service.domain.arenas import find_document
from discovery_service.domain.described_arenas import find_start
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.losses.graph import Graph
from workers.reproduce.training import WorldFailed
from workers.supervisor.outcome import Measured
from workers.trainings import Loss, Training, Trainings, open_slots, refuse_crashed

BASE_POLICY = 0
QUICKER = 3
"""By so much fewer steps where a run is quick."""

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Frontiers:
    points: Mapping[tuple[str, float], Sequence[Figures | None]]
    """By loss and beta, of each draw what was measured; None where the training failed, which is the loss's doing."""

    @property
    def losses(self) -> list[str]:
        return list(dict.fromkeys(loss for loss, _ in self.points))

    def list_betas(self, loss: str) -> list[float]:
        """At which none of its trainings failed."""
        return [beta for (name, beta), drawn in self.points.items() if name == loss and None not in drawn]

    def read(self, loss: str, beta: float, figure: str) -> list[float]:
        """Of each draw. Raises WorldFailed where a training failed."""
        found = [None if each is None else each[figure] for each in self.points[loss, beta]]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            raise WorldFailed(f"With {loss} at beta {beta:g} nothing could be measured on some draw.")
        return known

    def count_failed(self, loss: str, beta: float) -> int:
        return sum(each is None for each in self.points[loss, beta])

    def find_reward(self, loss: str, draw: int, kl: float) -> float:
        """On its frontier at this KL, between the two betas around it; at the nearer end beyond them.

        Straight over the root of the KL, with which a reward grows near the reference: straight over the KL it would
        cut the frontier's bend off, to the loss's disadvantage.
        """
        places = sorted(
            (math.sqrt(max(self.read(loss, beta, "kl")[draw], 0.0)), self.read(loss, beta, "reward")[draw])
            for beta in self.list_betas(loss)
        )
        root = math.sqrt(max(kl, 0.0))
        if root <= places[0][0]:
            return places[0][1]
        for (near, low), (far, high) in pairwise(places):
            if root <= far:
                return low + (high - low) * (root - near) / (far - near)
        return places[-1][1]

    def choose(self, losses: Sequence[str], draw: int) -> tuple[str, float]:
        """Which of them at which beta has the highest J on average over the other draws."""

        def find_mean(place: tuple[str, float]) -> float:
            return fmean(each for number, each in enumerate(self.read(*place, "J")) if number != draw)

        return max(((loss, beta) for loss in losses for beta in self.list_betas(loss)), key=find_mean)


def measure(
    arena: str,
    graphs: Mapping[str, Graph],
    betas: Sequence[float],
    draws: int,
    *,
    is_quick: bool,
    tell: Callable[[float], None],
) -> Frontiers:
    """`tell` hears which share is done. Raises TrainingsBroke."""
    document = find_document(arena)
    assert document is not None, "a reproduction names a built-in arena"
    start = find_start(document)
    steps = start.steps // QUICKER if is_quick else start.steps

    def plan(name: str, beta: float) -> list[Training]:
        """No campaign trains on these draws."""
        loss, setting = Loss.of(graphs[name]), Setting(beta, start.learning_rate, steps)
        return [
            Training(loss, BASE_POLICY, setting, Draw(Purpose.CALIBRATE, f"reproduce {draw}"), name)
            for draw in range(draws)
        ]

    wanted = {(name, beta): plan(name, beta) for name in graphs for beta in betas}
    every = [training for trainings in wanted.values() for training in trainings]
    with open_slots() as slots:
        outcomes = Trainings(document, slots, lambda _, done: tell(done / len(every))).run(every)
    refuse_crashed(outcomes)

    def read(training: Training) -> Figures | None:
        outcome = outcomes[training]
        return outcome.metrics if isinstance(outcome, Measured) else None

    return Frontiers({place: [read(each) for each in trainings] for place, trainings in wanted.items()})

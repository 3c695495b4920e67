"""Tuning plans as data: from which settings of a loss its best is chosen, by as many trainings for every loss."""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from discovery_service.domain.described_arenas import find_start
from discovery_service.domain.measuring import Setting

Axis = Literal["octaves", "rungs", "doublings"]
AXES: tuple[Axis, ...] = get_args(Axis)


@dataclass(frozen=True)
class Point:
    """Where a setting lies from the start: whole numbers, so that whatever way leads to it, it is the same setting."""

    octaves: int = 0
    """Of beta."""
    rungs: int = 0
    """Down from the learning rate. None lead up: settings found at higher rates on three tune draws slipped in 2 of 12
    fresh ones, and a loss without beta would have what the others do not."""
    doublings: int = 0
    """Of the steps."""

    def move(self, axis: Axis, by: int) -> "Point":
        return replace(self, **{axis: self.on(axis) + by})

    def on(self, axis: Axis) -> int:
        return int(getattr(self, axis))


@dataclass(frozen=True)
class Shift:
    """The setting of a rank among what was tried, 0 the best, moved by so much."""

    rank: int
    axis: Axis
    by: int


@dataclass(frozen=True)
class Outward:
    """Where the best is at an edge of what was tried, further out; else another move."""

    axis: Axis
    by: int
    otherwise: Shift


Move = Shift | Outward


@dataclass(frozen=True)
class Walk:
    """The settings that are tried on the first tune draw: some at once, then stage by stage where their ranks lead."""

    low: Point
    high: Point
    """Both within reach."""
    first: tuple[Point, ...]
    """Of equally good ones the earlier is the better one; so the start comes first."""
    then: tuple[tuple[Move, ...], ...]
    """What was tried already or is out of reach is replaced by the next-best untried neighbour."""

    @property
    def trainings(self) -> int:
        return len(self.first) + sum(len(moves) for moves in self.then)

    def reaches(self, point: Point) -> bool:
        return all(self.low.on(axis) <= point.on(axis) <= self.high.on(axis) for axis in AXES)

    def list_neighbours(self, point: Point) -> Iterator[Point]:
        """Within reach, in the order in which they are substitutes."""
        around = (point.move(axis, by) for axis in AXES for by in (1, -1))
        return (each for each in around if self.reaches(each))


@dataclass(frozen=True)
class TuningPlan:
    start: Setting
    with_beta: Walk
    without_beta: Walk
    finalists: int = 2
    """So many of the best settings go on to the other draws; the best mean over all draws is chosen."""
    draws: int = 3
    rate_ratio: float = 3.0
    """From a learning rate to the one a rung below."""

    def __post_init__(self) -> None:
        for walk in (self.with_beta, self.without_beta):
            _check_walk(walk)
            self._check_settings(walk)
        if self.with_beta.trainings != self.without_beta.trainings:
            raise ValueError("a loss without beta has to have as many trainings as one with it")
        if not 1 <= self.finalists <= self.first_trainings or self.draws < 1:
            raise ValueError("there has to be a finalist, no more of them than settings are tried, and a draw")

    @property
    def first_trainings(self) -> int:
        """Up to the point at which a round's worse half stops."""
        return self.with_beta.trainings

    @property
    def trainings(self) -> int:
        return self.first_trainings + self.finalists * (self.draws - 1)

    def walk(self, *, uses_beta: bool) -> Walk:
        return self.with_beta if uses_beta else self.without_beta

    def setting_at(self, point: Point) -> Setting:
        rate = self.start.learning_rate
        if point.rungs:
            # A third of 1.5e-3 is 5e-4 for whoever names it, and .0005 less a last bit in floating point.
            rate = float(f"{rate * self.rate_ratio**-point.rungs:.3g}")
        # Powers of two are exact.
        return Setting(
            math.ldexp(self.start.beta, point.octaves),
            rate,
            math.floor(math.ldexp(self.start.steps, point.doublings)),
        )

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def _check_settings(self, walk: Walk) -> None:
        try:
            ends = [self.setting_at(walk.low), self.setting_at(walk.high)]
        except ArithmeticError as error:
            raise ValueError("a setting within reach is beyond all numbers") from error
        for setting in ends:
            # Below the smallest normal number doubling and halving are no longer each other's inverse.
            numbers = (setting.beta, setting.learning_rate)
            if not all(sys.float_info.min <= each < math.inf for each in numbers) or setting.steps < 1:
                raise ValueError(f"no loss can be trained at {setting}")
        for axis in AXES:
            along = [walk.low.move(axis, by) for by in range(walk.high.on(axis) - walk.low.on(axis) + 1)]
            if len({self.setting_at(point) for point in along}) < len(along):
                raise ValueError(f"two of the {axis} within reach are one setting")


def _check_walk(walk: Walk) -> None:
    if len(set(walk.first)) < len(walk.first) or not all(walk.reaches(point) for point in walk.first):
        raise ValueError("the first settings have to be different ones within reach")
    tried = len(walk.first)
    for moves in walk.then:
        shifts = (move.otherwise if isinstance(move, Outward) else move for move in moves)
        if not all(0 <= shift.rank < tried for shift in shifts):
            raise ValueError("a move starts from a rank that nothing has yet")
        tried += len(moves)
    # What can be reached is a box, so that any part of it but the whole has an untried neighbour.
    if math.prod(walk.high.on(axis) - walk.low.on(axis) + 1 for axis in AXES) < walk.trainings:
        raise ValueError("there are fewer settings within reach than are to be tried")


def make_plan(start: Setting) -> TuningPlan:
    """The seven and four of evaluation: 11 trainings, as around the start of `mini` so around any other."""
    return TuningPlan(
        start,
        with_beta=Walk(
            low=Point(octaves=-12),
            high=Point(octaves=12, rungs=1),
            first=(Point(), Point(octaves=-2), Point(octaves=2)),
            then=(
                (Outward("octaves", 2, otherwise=Shift(1, "rungs", 1)),),
                (Shift(0, "octaves", -1), Shift(0, "octaves", 1)),
                (Shift(0, "rungs", 1),),
            ),
        ),
        # How far a policy goes from its reference is then up to learning rate and steps alone.
        without_beta=Walk(
            low=Point(doublings=-1 if start.steps > 1 else 0),
            high=Point(rungs=3, doublings=1),
            first=(Point(), Point(rungs=1), Point(rungs=2)),
            then=(
                (Outward("rungs", 1, otherwise=Shift(1, "doublings", 1)),),
                (Shift(0, "doublings", -1), Shift(0, "doublings", 1)),
                (Shift(0, "rungs", 1),),
            ),
        ),
    )


def find_plan(document: Mapping[str, Any]) -> TuningPlan:
    """Of the arena of the document, built in or an operator's."""
    return make_plan(find_start(document))

"""How a loss is tuned by a plan: from what was measured so far to what is measured next, and at last its best setting.

All of it is a function of the plan and of the values at what the plan asks for: neither the order in which they arrive
nor what else was measured makes a difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from discovery_service.domain.measuring import Setting
from discovery_service.domain.tuning_plans import Move, Outward, Point, TuningPlan, Walk

_WORST = -math.inf
"""Of a training that failed: it was one of the loss's trainings, and no setting is chosen for it."""


class Training(NamedTuple):
    setting: Setting
    draw: int
    """Among the tune draws, from 0."""


@dataclass(frozen=True)
class Tried:
    setting: Setting
    values: tuple[float | None, ...]
    """Of the metric that counts, on the first tune draw or on all; None where the training failed."""


@dataclass(frozen=True)
class Progress:
    missing: tuple[Training, ...]
    """What is known to be needed and not measured yet, to be measured in any order or at once. Nothing at the end of
    the plan, and at the halving point for a loss that waits or stops there."""
    is_first_draw_done: bool
    """Whether the halving point is reached."""
    first_best: float | None
    """The best value on the first draw so far, by which a round is halved. None where all failed."""
    is_complete: bool
    settings: tuple[Setting, ...]
    """Of a complete plan, those between which it chose, the chosen one first. Another one that failed on a draw is left
    out; none where every training failed."""
    curve: tuple[Tried, ...]
    """What was tried, by learning rate, steps and beta."""

    @property
    def chosen(self) -> Setting | None:
        return next(iter(self.settings), None)


def follow_plan(
    plan: TuningPlan,
    measured: Mapping[Training, float | None],
    *,
    uses_beta: bool,
    goes_on: bool,
) -> Progress:
    """Where a loss stands of which this was measured, None where a training failed.

    Once all settings were tried on the first draw, only one that `goes_on` is trained on the others: the halving of its
    round has let it pass, or its round is not halved. Till then nothing of the other draws is looked at, even where
    another campaign has measured it. ValueError for a value that is no finite number: nobody knows how good it is.
    """
    if not all(value is None or math.isfinite(value) for value in measured.values()):
        raise ValueError("a measured value has to be a finite number, or None where the training failed")
    tried, missing = _try_settings(plan, plan.walk(uses_beta=uses_beta), measured)
    is_first_draw_done = not missing
    finalists: list[Setting] = []
    if is_first_draw_done and goes_on:
        finalists = [plan.setting_at(point) for point in _rank(tried)[: plan.finalists]]
        finals = [Training(setting, draw) for setting in finalists for draw in range(1, plan.draws)]
        missing = [training for training in finals if training not in measured]
    is_complete = is_first_draw_done and goes_on and not missing
    values: dict[Setting, tuple[float | None, ...]] = {}
    if is_complete:
        values = {each: tuple(measured[Training(each, draw)] for draw in range(plan.draws)) for each in finalists}
    curve = [plan.setting_at(point) for point in tried]
    curve.sort(key=lambda each: (each.learning_rate, each.steps, each.beta))
    best = max(tried.values(), default=_WORST)
    return Progress(
        missing=tuple(missing),
        is_first_draw_done=is_first_draw_done,
        first_best=None if best == _WORST else best,
        is_complete=is_complete,
        settings=rank_settings(values),
        curve=tuple(Tried(each, values.get(each, (measured[Training(each, 0)],))) for each in curve),
    )


def take_settings(settings: Sequence[Setting]) -> Progress:
    """Where a loss stands that was tuned by the same plan before, and is not again; its chosen setting first."""
    return Progress((), is_first_draw_done=True, first_best=None, is_complete=True, settings=tuple(settings), curve=())


def _try_settings(
    plan: TuningPlan, walk: Walk, measured: Mapping[Training, float | None]
) -> tuple[dict[Point, float], list[Training]]:
    """What has a value on the first draw, in the plan's order, and what is missing there."""
    tried: dict[Point, float] = {}
    stage: Sequence[Point] = walk.first
    for moves in (*walk.then, ()):
        missing = []
        for point in stage:
            training = Training(plan.setting_at(point), 0)
            if training in measured:
                value = measured[training]
                tried[point] = _WORST if value is None else value
            else:
                missing.append(point)
        if missing:
            ahead = _foresee(walk, moves, _rank(tried), missing[0]) if len(missing) == 1 else []
            needed = [Training(plan.setting_at(point), 0) for point in (*missing, *ahead)]
            return tried, [training for training in needed if training not in measured]
        stage = _find_stage(walk, moves, _rank(tried))
    return tried, []


def _rank(tried: Mapping[Point, float]) -> list[Point]:
    """Best first; of equally good ones the one that the plan names earlier."""
    return sorted(tried, key=lambda point: -tried[point])


def _foresee(walk: Walk, moves: Sequence[Move], ranked: Sequence[Point], missing: Point) -> list[Point]:
    """What the next stage tries wherever the one that is missing may come to stand.

    One octave back from beyond the edge of the first betas is such a setting: it lies beside both, whichever is better.
    """
    ranks = range(len(ranked) + 1)
    stages = [_find_stage(walk, moves, [*ranked[:rank], missing, *ranked[rank:]]) for rank in ranks]
    return [point for point in stages[0] if all(point in stage for stage in stages)]


def _find_stage(walk: Walk, moves: Sequence[Move], ranked: Sequence[Point]) -> list[Point]:
    stage: list[Point] = []
    for move in moves:
        point = _aim(move, ranked)
        taken = [*ranked, *stage]
        stage.append(point if point not in taken and walk.reaches(point) else _substitute(walk, taken))
    return stage


def _aim(move: Move, ranked: Sequence[Point]) -> Point:
    if isinstance(move, Outward):
        best = ranked[0].on(move.axis)
        along = [point.on(move.axis) for point in ranked]
        if best == max(along):
            return ranked[0].move(move.axis, move.by)
        if best == min(along):
            return ranked[0].move(move.axis, -move.by)
        move = move.otherwise
    return ranked[move.rank].move(move.axis, move.by)


def _substitute(walk: Walk, taken: Sequence[Point]) -> Point:
    """The first untried neighbour of the best setting that has one. Some setting has: the plan checked that."""
    return next(near for point in taken for near in walk.list_neighbours(point) if near not in taken)


def rank_settings(values: Mapping[Setting, Sequence[float | None]]) -> tuple[Setting, ...]:
    """By their means, the chosen one first. One that failed on a draw is in it only where all did: the one that failed
    least, alone."""

    def merit(setting: Setting) -> tuple[int, Fraction]:
        succeeded = [value for value in values[setting] if value is not None]
        # Without rounding: among as many values the greatest sum has the best mean.
        return len(succeeded), sum(map(Fraction, succeeded), Fraction())

    ranked = sorted(values, key=merit, reverse=True)
    whole = tuple(each for each in ranked if merit(each)[0] == len(values[each]))
    return whole or tuple(each for each in ranked[:1] if merit(each)[0] > 0)

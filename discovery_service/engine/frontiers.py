"""What a loss earns for how far it moves the policy: of each setting reward and KL, beside DPO in the same campaign."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.candidates import find_reference, is_arena
from discovery_service.db.tables import Arena, Candidate, Evaluation, Measurement, Standing
from discovery_service.domain.frontier import find_frontier
from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.stages import SEARCH_POLICY
from discovery_service.domain.states import EvaluationStatus, Purpose

EARNED = ("reward", "score")
"""The metric that an arena pays in: the first of these that it has."""
_KL = "kl"


@dataclass(frozen=True)
class Point:
    """One setting on the draws of one stage."""

    setting: Setting
    means: Mapping[str, Interval]
    """What was earned, and KL; nothing where a draw failed, since those are the hard ones."""
    draws: int
    failed: int
    is_on_frontier: bool = False
    """Of this loss at this stage, by the means: whoever draws again may find another one."""


@dataclass(frozen=True)
class Trace:
    """Of one loss. Points of different stages are on different draws, and none is compared with another stage's."""

    candidate_id: UUID
    name: str
    tune: Sequence[Point]
    """Empty of a library's loss that came with its settings."""
    screen: Sequence[Point]
    confirm: Sequence[Point]
    """Of the last freeze, once all of it is measured."""


@dataclass(frozen=True)
class Frontier:
    arena: str
    earned: str
    loss: Trace
    reference: Trace | None
    """None where the loss is the reference itself, or the campaign has none."""


def read_frontier(session: Session, candidate: Candidate, arena: str) -> Frontier:
    """In the arena that the campaign's spec calls so."""
    reference = find_reference(session, candidate.campaign_id)
    losses = [candidate] if reference is None or reference.id == candidate.id else [candidate, reference]
    keys = [each.id for each in losses]
    tried, standings = _read_tuning(session, keys, arena), _read_standings(session, keys, arena)
    points = {each.id: _list_points(tried[each.id], standings[each.id]) for each in losses}
    metrics = {name for stages in points.values() for stage in stages.values() for each in stage for name in each.means}
    earned = next((name for name in EARNED if name in metrics), EARNED[0])
    own, *others = [_make_trace(each, points[each.id], earned) for each in losses]
    return Frontier(arena.partition("@")[0], earned, own, others[0] if others else None)


def _make_trace(candidate: Candidate, points: Mapping[Purpose, Sequence[Point]], earned: str) -> Trace:
    stages = {stage.value: _mark(each, earned) for stage, each in points.items()}
    return Trace(candidate.id, candidate.name, **stages)


def _mark(points: Sequence[Point], earned: str) -> list[Point]:
    placed = {
        number: (each.means[_KL].mean, each.means[earned].mean)
        for number, each in enumerate(points)
        if {_KL, earned} <= each.means.keys()
    }
    best = set(find_frontier(placed))
    return [replace(each, is_on_frontier=number in best) for number, each in enumerate(points)]


_Tried = Mapping[Setting, Sequence[Mapping[str, float | None] | None]]
"""By setting, the metrics of each draw; None where the loss failed."""


def _read_tuning(session: Session, keys: Sequence[UUID], arena: str) -> Mapping[UUID, _Tried]:
    query = (
        select(Evaluation.candidate_id, Evaluation.setting, Measurement.metrics)
        .outerjoin(Measurement, Measurement.id == Evaluation.measurement_id)
        .where(
            Evaluation.candidate_id.in_(keys),
            Evaluation.arena_id.in_(select(Arena.id).where(is_arena(arena))),
            Evaluation.base_policy == SEARCH_POLICY,
            Evaluation.purpose == Purpose.TUNE,
            Evaluation.status.in_((EvaluationStatus.SUCCEEDED, EvaluationStatus.FAILED)),
        )
        .order_by(Evaluation.draw)
    )
    found: Mapping[UUID, dict[Setting, list[Mapping[str, float | None] | None]]]
    found = defaultdict(lambda: defaultdict(list))
    for candidate_id, setting, metrics in session.execute(query):
        found[candidate_id][Setting(**setting)].append(metrics)
    return found


def _read_standings(session: Session, keys: Sequence[UUID], arena: str) -> Mapping[UUID, Mapping[Purpose, Standing]]:
    query = (
        select(Standing)
        .join(Arena, Arena.id == Standing.arena_id)
        .where(Standing.candidate_id.in_(keys), is_arena(arena))
        .order_by(Standing.extension)
    )
    found: Mapping[UUID, dict[Purpose, Standing]] = defaultdict(dict)
    for each in session.scalars(query):
        found[each.candidate_id][Purpose(each.stage)] = each
    return found


def _list_points(tried: _Tried, standings: Mapping[Purpose, Standing]) -> dict[Purpose, list[Point]]:
    order = sorted(tried, key=lambda each: (each.learning_rate, each.steps, each.beta))
    screened, confirmed = (standings.get(stage) for stage in (Purpose.SCREEN, Purpose.CONFIRM))
    return {
        Purpose.TUNE: [_find_point(setting, tried[setting]) for setting in order],
        Purpose.SCREEN: list(_list_told(screened)),
        Purpose.CONFIRM: list(_list_told(confirmed)),
    }


def _find_point(setting: Setting, outcomes: Sequence[Mapping[str, float | None] | None]) -> Point:
    measured = [each for each in outcomes if each is not None]
    failed = len(outcomes) - len(measured)
    means = {} if failed else {name: _find_mean(measured, name) for name in (*EARNED, _KL)}
    return Point(setting, {name: each for name, each in means.items() if each is not None}, len(measured), failed)


def _find_mean(measured: Sequence[Mapping[str, float | None]], name: str) -> Interval | None:
    """None where not all draws have it."""
    values = [value for metrics in measured if (value := metrics.get(name)) is not None]
    return find_interval(values) if values and len(values) == len(measured) else None


def _list_told(standing: Standing | None) -> Iterator[Point]:
    """As the standing has it, which says nothing before all is measured; a reference's at its other settings too."""
    if standing is None:
        return
    chosen, told = Setting(**standing.setting), standing.figures
    yield Point(chosen, _read_means(told), standing.draws, len(told.get("failed", ())))
    for other in told.get("others", ()):
        means = _read_means(other)
        if means:
            draws = next(each.draws for each in means.values())
            yield Point(Setting(**other["setting"]), means, draws, len(other.get("failed", ())))


def _read_means(told: Mapping[str, Any]) -> dict[str, Interval]:
    return {name: Interval(**each) for name, each in told.get("means", {}).items() if name in (*EARNED, _KL)}

"""What a loss earns for how far it moves the policy: of each setting reward and KL, beside its family's reference."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.candidates import find_reference
from discovery_service.db.queries import is_arena
from discovery_service.db.standings import read_standings
from discovery_service.db.tables import Arena, Campaign, Candidate, Evaluation, Measurement, Standing
from discovery_service.domain.frontier import find_frontier
from discovery_service.domain.intervals import Interval, find_interval
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.measuring import Setting
from discovery_service.domain.stages import SEARCH_POLICY
from discovery_service.domain.states import TRAINED, Purpose

EARNED = ("reward", "score")
"""The metric that an arena pays in: the first of these that it has."""
_KL = "kl"


@dataclass(frozen=True)
class Point:
    """One setting on some draws."""

    setting: Setting
    means: Mapping[str, Interval]
    """What was earned, and KL; nothing where a draw failed, since those are the hard ones."""
    draws: int
    failed: int
    is_on_frontier: bool = False
    """Of this loss in this list, by the means: on other draws it may be another one."""


@dataclass(frozen=True)
class Trace:
    """Of one loss. What stands in one list was measured on the same draws; nothing is compared across lists, as
    what draws differ by is larger than what settings do."""

    candidate_id: UUID
    name: str
    tried: Sequence[Point]
    """Each setting of its tuning on the draws that all of them have had, which is the first one; empty of a library's
    loss that came with its settings."""
    tuned: Sequence[Point]
    """Those between which its tuning chose, on all of its draws."""
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
    against: str
    """What the reference is called."""


def read_frontier(session: Session, candidate: Candidate, arena: str) -> Frontier:
    """In the arena that the campaign's spec calls so."""
    reference = find_reference(session, candidate.campaign_id)
    losses = [candidate] if reference is None or reference.id == candidate.id else [candidate, reference]
    keys = [each.id for each in losses]
    tried = _read_tuning(session, keys, arena)
    standings = read_standings(session, keys, Standing.arena_id.in_(select(Arena.id).where(is_arena(arena))))
    stages = (Purpose.SCREEN, Purpose.CONFIRM)
    points = {key: _list_points(tried[key], *(standings.get((key, stage)) for stage in stages)) for key in keys}
    every = [each for lists in points.values() for some in lists.values() for each in some]
    metrics = {name for each in every for name in each.means}
    earned = next((name for name in EARNED if name in metrics), EARNED[0])
    own, *others = [_make_trace(each, points[each.id], earned) for each in losses]
    against = REFERENCE_LOSSES[session.get_one(Campaign, candidate.campaign_id).spec["family"]]
    return Frontier(arena.partition("@")[0], earned, own, others[0] if others else None, against)


def _make_trace(candidate: Candidate, points: Mapping[str, Sequence[Point]], earned: str) -> Trace:
    return Trace(candidate.id, candidate.name, **{name: _mark(each, earned) for name, each in points.items()})


def _mark(points: Sequence[Point], earned: str) -> list[Point]:
    placed = {
        number: (each.means[_KL].mean, each.means[earned].mean)
        for number, each in enumerate(points)
        if {_KL, earned} <= each.means.keys()
    }
    best = set(find_frontier(placed))
    return [replace(each, is_on_frontier=number in best) for number, each in enumerate(points)]


_Metrics = Mapping[str, float | None]
_Tried = Mapping[Setting, Mapping[str, _Metrics | None]]
"""By setting and draw what was measured; None where the loss failed."""


def _read_tuning(session: Session, keys: Sequence[UUID], arena: str) -> Mapping[UUID, _Tried]:
    query = (
        select(Evaluation.candidate_id, Evaluation.setting, Evaluation.draw, Measurement.metrics)
        .outerjoin(Measurement, Measurement.id == Evaluation.measurement_id)
        .where(
            Evaluation.candidate_id.in_(keys),
            Evaluation.arena_id.in_(select(Arena.id).where(is_arena(arena))),
            Evaluation.base_policy == SEARCH_POLICY,
            Evaluation.purpose == Purpose.TUNE,
            Evaluation.status.in_(TRAINED),
        )
        .order_by(Evaluation.draw)
    )
    found: Mapping[UUID, dict[Setting, dict[str, _Metrics | None]]] = defaultdict(lambda: defaultdict(dict))
    for candidate_id, setting, draw, metrics in session.execute(query):
        found[candidate_id][Setting(**setting)][draw] = metrics
    return found


def _list_points(tried: _Tried, screen: Standing | None, confirm: Standing | None) -> dict[str, list[Point]]:
    """By list of a trace."""
    draws = [frozenset(each) for each in tried.values()]
    shared = frozenset.intersection(*draws) if draws else frozenset()
    most = max(draws, key=len, default=shared)
    return {
        "tried": _find_points(tried, shared),
        # Where all have had all of them these are the same points.
        "tuned": _find_points({at: each for at, each in tried.items() if each.keys() == most != shared}, most),
        "screen": list(_list_told(screen)),
        "confirm": list(_list_told(confirm)),
    }


def _find_points(tried: _Tried, draws: Collection[str]) -> list[Point]:
    if not draws:
        return []
    order = sorted(tried, key=lambda each: (each.learning_rate, each.steps, each.beta))
    return [_find_point(setting, [tried[setting][draw] for draw in sorted(draws)]) for setting in order]


def _find_point(setting: Setting, outcomes: Sequence[_Metrics | None]) -> Point:
    measured = [each for each in outcomes if each is not None]
    failed = len(outcomes) - len(measured)
    means = {} if failed else {name: _find_mean(measured, name) for name in (*EARNED, _KL)}
    return Point(setting, {name: each for name, each in means.items() if each is not None}, len(measured), failed)


def _find_mean(measured: Sequence[_Metrics], name: str) -> Interval | None:
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

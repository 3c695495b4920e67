"""One loss as people read it: its facts, its curve as a line of blocks, its standings, trainings and frontier."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import typer

from discovery_service.cli.figures import tell_interval, tell_mean, tell_setting
from discovery_service.cli.leaderboard import tell_against
from discovery_service.cli.output import print_fields, print_table, printable
from discovery_service.client import (
    CandidateCurve,
    CandidateDetail,
    CandidateNeighbour,
    CandidateStanding,
    CurvePoints,
    Evaluation,
    Frontier,
    FrontierPoint,
    FrontierTrace,
)
from discovery_service.domain.metrics import OWN, list_own
from discovery_service.losses.fingerprints import tell_beta

_BLOCKS = "▁▂▃▄▅▆▇█"
_REACH, _CELLS = 5.0, 41
"""Of the curve as it is drawn; where most pairs are."""
_METRICS = ("J", "score", "reward", "kl", "accuracy", *OWN)
_STAGES = {
    "tried": "Tried, on a draw that all settings share",
    "tuned": "Tuned, by which a setting is chosen",
    "screen": "Screened, which confirms nothing",
    "confirm": "Confirmed on fresh draws",
}


def print_candidate(found: CandidateDetail, curve: CandidateCurve) -> None:
    print_fields(_list_fields(found))
    for refusal in found.refusals:
        where = f"line {refusal.line}, " if refusal.line else ""
        typer.echo(printable(f"refused: {where}{refusal.code}: {refusal.message}"))
    if found.sentences:
        typer.echo()
        typer.echo(printable("\n".join(found.sentences)))
    if curve.curve is not None:
        typer.echo()
        print_curve(curve.curve, curve)
    if found.neighbours:
        typer.echo("\nNearest when it was judged:")
        print_table(("name", "cosine", "at", ""), map(_write_neighbour, found.neighbours))
    _print_standings("screen", found.screen, curve.against)
    _print_standings("confirm", found.confirm, curve.against)


def _list_fields(found: CandidateDetail) -> list[tuple[str, object]]:
    stopped = ", stopped at the halving of its round" if found.is_stopped else ""
    model = f" ({found.model})" if found.model else ""
    isolation = found.isolation
    cost = found.cost
    asked = f", {cost.tokens} tokens, {cost.cost_usd:.3f} USD" if cost.tokens or cost.cost_usd else ""
    given = ", ".join(f"{each.name} {each.value:g}" for each in found.hyperparameters or ())
    return [
        ("name", found.name),
        ("id", found.id),
        ("status", f"{found.status}{stopped}"),
        ("by", f"{found.author}{model}"),
        ("campaign", f"{found.campaign} ({found.campaign_id})"),
        ("made in", f"round {found.round}, slot {found.slot}, turn {found.turn}; proposal {found.proposal_id}"),
        ("formula", found.formula),
        ("known as", ", ".join(found.known_as)),
        ("hyper-parameters", given),
        ("graph", found.graph_sha256 if found.hyperparameters is not None else None),
        ("jail", isolation and f"{isolation.level}{f': {isolation.reason}' if isolation.reason else ''}"),
        ("cost", f"{cost.evaluations} trainings, {cost.device_seconds:.0f} s{asked}"),
        ("relatives", f"made from {found.parents}, led to {found.children}"),
        ("judged", found.judged_at),
    ]


def _write_neighbour(each: CandidateNeighbour) -> tuple[object, ...]:
    kind = "behaves like it" if each.is_twin else "near" if each.is_near else ""
    outside = "not in its campaign's library" if each.is_outside else ""
    told = ", ".join(filter(None, (kind, outside)))
    return each.name, f"{each.cosine:.4f}", tell_beta(each.beta_shift, each.beta), told


def print_curve(own: CurvePoints, curve: CandidateCurve) -> None:
    """Loss and slope, each beside the reference's on one scale."""
    other = None if curve.name == curve.against else curve.reference
    rows = [
        row
        for what, column in (("f(z)", "value"), ("f'(z)", "slope"))
        for row in _draw_beside(what, [(curve.name, own), *([(curve.against, other)] if other else [])], column)
    ]
    print_table(("", f"z from {-_REACH:g} to {_REACH:g}", "at the left", "at 0", "at the right"), rows)


def _draw_beside(what: str, curves: Sequence[tuple[str, CurvePoints]], column: str) -> Iterator[tuple[object, ...]]:
    drawn = {name: list(_sample(points.z, getattr(points, column))) for name, points in curves}
    known = [each for samples in drawn.values() for each in samples if each is not None]
    for name, samples in drawn.items():
        ends = (samples[0], samples[_CELLS // 2], samples[-1])
        told = ("not finite" if each is None else f"{each:.3g}" for each in ends)
        yield f"{what} of {name}", draw_blocks(samples, min(known, default=0.0), max(known, default=0.0)), *told


def _sample(places: Sequence[float], values: Sequence[float | None]) -> Iterator[float | None]:
    """At even steps, between the stored points on a straight line; None beside one that is not finite."""
    for cell in range(_CELLS):
        at = _REACH * (2 * cell / (_CELLS - 1) - 1)
        right = min(max(bisect_left(places, at), 1), len(places) - 1)
        low, high = values[right - 1], values[right]
        share = (at - places[right - 1]) / (places[right] - places[right - 1])
        yield None if low is None or high is None else low + share * (high - low)


def draw_blocks(samples: Iterable[float | None], low: float, high: float) -> str:
    """A block a sample, the higher the fuller, between the lowest and the highest of all that are compared."""
    steps = len(_BLOCKS) - 1
    return "".join(
        " " if each is None else _BLOCKS[round((each - low) / (high - low) * steps) if high > low else 0]
        for each in samples
    ).rstrip()


def _print_standings(stage: str, standings: Sequence[CandidateStanding], against: str) -> None:
    if not standings:
        return
    typer.echo(f"\n{_STAGES[stage]}:")
    fields = ("arena", f"less {against}", "verdict", "against others", "setting", "draws", "attained", "reward", "KL")
    own = list_own(each.metrics for each in standings)
    told = (
        (*_write_standing(each, against), *(tell_mean(each.metrics.get(name)) for name in own)) for each in standings
    )
    # There are few standings, and much to say of each: one beside the other.
    head, *rows = zip((*fields, *(name.replace("_", " ") for name in own)), *told, strict=True)
    print_table(head, rows)


def _write_standing(each: CandidateStanding, against: str) -> tuple[object, ...]:
    where = each.arena if each.is_search else f"{each.arena}, held out"
    return (
        f"{where}, extension {each.extension}" if each.extension else where,
        tell_interval(each.difference, each.lower, each.upper),
        each.verdict and f"{each.verdict} {against}",
        "; ".join(map(tell_against, each.against)),
        tell_setting(each.setting),
        f"{each.draws} over {len(each.base_policies)}{f', {each.failed} failed' if each.failed else ''}",
        *map(tell_mean, (each.attained, each.reward, each.kl)),
    )


def print_evaluations(found: Sequence[Evaluation]) -> None:
    metrics = [name for name in _METRICS if any(name in (each.metrics or {}) for each in found)]
    columns = ("id", "arena", "purpose", "setting", "policy", "draw", "status", *metrics, "device s", "failure")
    spare = ("device s", *reversed(metrics[1:]), "policy", "arena")
    print_table(columns, (_write_evaluation(each, metrics) for each in found), spare=spare)


def _write_evaluation(each: Evaluation, metrics: Sequence[str]) -> tuple[object, ...]:
    values = [(each.metrics or {}).get(name) for name in metrics]
    return (
        *(each.id, each.arena, each.purpose, tell_setting(each.setting), each.base_policy, _tell_draw(each.draw)),
        f"{each.status}, measured before" if each.is_reused else each.status,
        *(None if value is None else f"{value:.4g}" for value in values),
        None if each.device_seconds is None else f"{each.device_seconds:.1f}",
        each.failure and f"{each.failure.code}: {each.failure.message}",
    )


def _tell_draw(draw: str) -> str:
    """A confirming one is called by its freeze's digest, of which its beginning will do."""
    *digest, number = draw.split()
    return " ".join([*(each[:8] for each in digest), number])


def print_frontier(found: Frontier) -> None:
    """Apart what is on draws of its own."""
    traces = [found.loss] if found.reference is None else [found.loss, found.reference]
    typer.echo(
        printable(f"In {found.arena}: {found.earned} for KL; * is on a loss's own frontier, on the draws of its table.")
    )
    for stage, title in _STAGES.items():
        rows = [(trace, point) for trace in traces for point in getattr(trace, stage)]
        if rows:
            typer.echo(f"\n{title}:")
            columns = ("name", "setting", found.earned, "KL", "", "draws")
            print_table(columns, (_write_point(*row) for row in rows))


def _write_point(trace: FrontierTrace, point: FrontierPoint) -> tuple[object, ...]:
    failed = f", {point.failed} failed" if point.failed else ""
    mark = "*" if point.is_on_frontier else ""
    means = map(tell_mean, (point.earned, point.kl))
    return trace.name, tell_setting(point.setting), *means, mark, f"{point.draws}{failed}"

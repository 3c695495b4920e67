"""Plans, and losses that are tuned by them: each is its values, by setting and draw."""

from collections.abc import Callable
from dataclasses import replace

from discovery_service.domain.measuring import Setting
from discovery_service.domain.tuning import Progress, Training, follow_plan
from discovery_service.domain.tuning_plans import Outward, Point, Shift, TuningPlan, Walk, make_plan

Values = Callable[[Setting, int], float | None]

MINI = make_plan(Setting(1.0, 1.5e-3, 120))
RICHER = replace(
    MINI,
    with_beta=Walk(
        low=Point(octaves=-8),
        high=Point(octaves=8, rungs=2, doublings=1),
        first=(Point(), Point(octaves=-4), Point(octaves=-2), Point(octaves=2), Point(octaves=4)),
        then=(
            (Outward("octaves", 2, otherwise=Shift(1, "rungs", 1)), Shift(2, "rungs", 1)),
            (Shift(0, "octaves", -1), Shift(0, "octaves", 1)),
            (Shift(0, "rungs", 1), Shift(0, "doublings", 1), Shift(1, "doublings", 1)),
        ),
    ),
    without_beta=Walk(
        low=Point(doublings=-2),
        high=Point(rungs=4, doublings=2),
        first=(Point(), Point(rungs=1), Point(rungs=2), Point(rungs=3)),
        then=(
            (Shift(0, "doublings", -1), Shift(0, "doublings", 1), Shift(1, "doublings", 1), Shift(2, "doublings", 1)),
            (Shift(0, "doublings", 1), Shift(0, "rungs", 1), Shift(1, "rungs", 1), Shift(2, "rungs", 1)),
        ),
    ),
    finalists=3,
    draws=5,
)
# No more settings within reach than are tried: there is a substitute for as long as anything is left.
TIGHT = replace(
    MINI,
    with_beta=replace(MINI.with_beta, low=Point(octaves=-3), high=Point(octaves=3)),
    without_beta=replace(
        MINI.without_beta, low=Point(), high=Point(rungs=6), first=(Point(rungs=4), Point(rungs=5), Point(rungs=3))
    ),
)
PLANS = {
    "mini": MINI,
    "base": make_plan(Setting(1.0, 1e-3, 120)),
    "an operator's": make_plan(Setting(0.1, 1e-6, 200)),
    "one step": make_plan(Setting(0.3, 1.0, 1)),
    "richer": RICHER,
    "tight": TIGHT,
}


def tune(
    plan: TuningPlan, value_of: Values, *, uses_beta: bool = True, goes_on: bool = True
) -> tuple[Progress, list[list[Training]]]:
    """Where it ends, and what was measured batch by batch."""
    measured: dict[Training, float | None] = {}
    batches: list[list[Training]] = []
    while (progress := follow_plan(plan, measured, uses_beta=uses_beta, goes_on=goes_on)).missing:
        assert not measured.keys() & set(progress.missing)
        batches.append(list(progress.missing))
        measured |= {training: value_of(*training) for training in progress.missing}
    return progress, batches

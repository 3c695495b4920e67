"""Small banks of which the truth is known, for tests of what is drawn from them."""

import random
from collections.abc import Callable

from benchmarks.bank_file import Bank, Cell, Outcome, Tuned
from benchmarks.bank_plan import list_cells, list_units
from benchmarks.planted import PLANTED
from discovery_service.domain.measuring import Setting

SETTINGS = tuple(Setting(beta, 1.5e-3, 120) for beta in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0))
FINALISTS = SETTINGS[2:4]
Truth = Callable[[Cell], float | None]
"""None where the training failed."""


def make_bank(truth: Truth, *arenas: str, noise: float = 0.1, seed: int = 0) -> Bank:
    """J is the truth, plus what all losses have in common on a draw, plus noise of each training."""
    rng = random.Random(seed)
    common: dict[tuple[str, int, str], float] = {}
    tuned, outcomes = {}, {}
    for unit in list_units():
        if unit.arena not in arenas:
            continue
        tuned[unit.arena, unit.loss] = Tuned(SETTINGS, FINALISTS, FINALISTS[0], graph_sha256=unit.loss)
        for cell in list_cells(unit, tuned[unit.arena, unit.loss]):
            if cell in outcomes:
                continue
            of_draw = common.setdefault((cell.arena, cell.base_policy, cell.draw.key), rng.gauss(0, 1))
            own, j = rng.gauss(0, noise), truth(cell)
            outcomes[cell] = Outcome(None, 0.5, "It diverged.") if j is None else Outcome(j + of_draw + own, 1.25)
    about = {"command": "a test", "build": {}, "arenas": {arena: f"hash of {arena}" for arena in arenas}}
    return Bank(about, tuned, outcomes)


def nothing(_: Cell) -> float:
    return 0.0


def winning(gain: float) -> Truth:
    return lambda cell: gain if cell.loss == PLANTED else 0.0

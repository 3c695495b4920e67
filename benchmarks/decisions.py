"""One decision, which of 36 losses is the best and at which setting, made in two ways on draws from the bank.

Exhaustively: every setting of every loss that tuning tried first, on so many draws. Or as the service does: the
settings on one draw, the worse half stops, the two best settings of the others on two more draws, the better one
screened on three, and five confirmed on twelve: three proposed losses with the highest lower bounds, DPO, at both of
its settings, and the best other loss of the library. Draws are drawn with replacement from those of the bank, whose
means are the truth.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

import numpy as np

from benchmarks.bank_file import Bank, Cell
from benchmarks.bank_plan import DECIDE, DECIDED, DPO, LIBRARY, list_decided
from benchmarks.bank_worlds import find_variances
from discovery_service.domain.agreement import find_agreement
from discovery_service.domain.freezing import pick_best
from discovery_service.domain.halving import LIBRARY_ROUND, find_stopping
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.screening import Spread, fit_spread, screen
from discovery_service.domain.tuning import rank_settings

FINALISTS = 3
CONFIRM_DRAWS = 12
_FAILED = -1e6
"""For the mean of a setting that failed on a draw: below every J, and still a number."""
_HALVED = LIBRARY_ROUND + 1

Way = tuple[int, int]
"""A loss and one of its settings, by number."""


@dataclass(frozen=True)
class Table:
    """The trainings of all losses at all settings on the bank's draws."""

    losses: tuple[str, ...]
    settings: tuple[tuple[Setting, ...], ...]
    j: np.ndarray
    """By loss, setting and draw; not a number where the training failed."""
    seconds: np.ndarray
    """By loss and setting, on average over draws."""
    spread: Spread
    population: tuple[int, ...]
    """The draws of which the means are the truth."""

    @cached_property
    def means(self) -> np.ndarray:
        return np.nan_to_num(self.j[:, :, list(self.population)], nan=_FAILED).mean(axis=2)

    @property
    def best(self) -> float:
        return float(self.means.max())

    @property
    def exhaustive_s(self) -> float:
        """Of one draw."""
        return float(self.seconds.sum())

    @property
    def ways(self) -> int:
        return self.seconds.size

    def resample(self, rng: random.Random) -> "Table":
        return replace(self, population=tuple(rng.choices(self.population, k=len(self.population))))

    def value(self, way: Way, draw: int) -> float | None:
        j = float(self.j[way[0], way[1], draw])
        return None if j != j else j


def open_table(bank: Bank) -> Table:
    """NotInBank where something is missing."""
    losses = list_decided()
    settings = tuple(bank.get_tuned(DECIDED, loss).curve for loss in losses)
    found = [
        [[bank.get(Cell(DECIDED, loss, each, policy, draw)) for policy, draw in DECIDE] for each in tried]
        for loss, tried in zip(losses, settings, strict=True)
    ]
    j = [[[np.nan if one.j is None else one.j for one in each] for each in tried] for tried in found]
    seconds = [[fmean(one.seconds for one in each) for each in tried] for tried in found]
    spread = fit_spread(find_variances(bank, DECIDED))
    return Table(losses, settings, np.array(j), np.array(seconds), spread, tuple(range(len(DECIDE))))


def find_exhaustive(table: Table, decisions: int, tolerance: float, rng: random.Random) -> list[float]:
    """How often the setting with the best mean is as good as the best, but for the tolerance.

    On one draw, on two, and so on, each time the same draws and one more: how chance falls differs little between them.
    """
    filled = np.nan_to_num(table.j, nan=_FAILED).reshape(table.ways, -1)
    is_right = table.means.reshape(-1) >= table.best - tolerance
    drawn = np.array([rng.choices(table.population, k=CONFIRM_DRAWS) for _ in range(decisions)])
    sums, shares = np.zeros((table.ways, decisions)), []
    for draw in drawn.T:
        sums += filled[:, draw]
        shares.append(float(is_right[sums.argmax(axis=0)].mean()))
    return shares


@dataclass(frozen=True)
class Decision:
    """As the service makes it."""

    pick: Way
    seconds: float
    trainings: int
    tau: float
    """Of how the screen ranks all losses, those that stopped below the others, with the truth at each one's best."""
    tau_of_screened: float


def decide(table: Table, rng: random.Random) -> Decision:
    draws = rng.choices(table.population, k=6 + CONFIRM_DRAWS)
    tune, screened_on, confirmed_on = draws[:3], draws[3:6], draws[6:]
    first = [[table.value((loss, at), tune[0]) for at in range(len(each))] for loss, each in enumerate(table.settings)]
    bests = {loss: max((j for j in tried if j is not None), default=None) for loss, tried in enumerate(first)}
    going = _halve(bests, table.losses.index(DPO))
    ranked: dict[int, tuple[int, ...]] = {}
    cost, trainings = table.exhaustive_s, table.ways
    for loss in going:
        finalists = _find_finalists(first[loss])
        settings = rank_settings(
            {table.settings[loss][at]: [table.value((loss, at), draw) for draw in tune] for at in finalists}
        )
        cost += 2 * sum(float(table.seconds[loss, at]) for at in finalists)
        trainings += 2 * len(finalists)
        if settings:
            trainings += len(screened_on)
            ranked[loss] = tuple(table.settings[loss].index(each) for each in settings)
            cost += len(screened_on) * float(table.seconds[loss, ranked[loss][0]])
    intervals = _screen(table, {loss: each[0] for loss, each in ranked.items()}, screened_on)
    finals = _freeze(table, intervals, ranked)
    cost += len(confirmed_on) * sum(float(table.seconds[way]) for way in finals)
    trainings += len(confirmed_on) * len(finals)
    pick = max(finals, key=lambda way: _confirm(table, way, confirmed_on))
    tau, tau_of_screened = _rank(table, intervals, bests)
    return Decision(pick, cost, trainings, tau, tau_of_screened)


def _halve(bests: Mapping[int, float | None], reference: int) -> list[int]:
    """Who goes on. DPO does in any case, in the place of the last that would: all others are compared with it."""
    stopping = find_stopping(bests, round_index=_HALVED)
    going = [loss for loss in bests if loss not in stopping]
    if reference in stopping:
        going.remove(min(going, key=lambda loss: _or_failed(bests[loss])))
        going.append(reference)
    return going


def _find_finalists(tried: Sequence[float | None]) -> list[int]:
    return sorted(range(len(tried)), key=lambda at: -_or_failed(tried[at]))[:2]


def _or_failed(j: float | None) -> float:
    return _FAILED if j is None else j


def _screen(table: Table, chosen: Mapping[int, int], draws: Sequence[int]) -> dict[int, Interval]:
    """Of those that failed on none of them."""
    reference = table.losses.index(DPO)
    intervals = {}
    for loss, at in chosen.items():
        pairs = [(table.value((loss, at), draw), table.value((reference, chosen[reference]), draw)) for draw in draws]
        gains = [own - other for own, other in pairs if own is not None and other is not None]
        if len(gains) == len(pairs):
            intervals[loss] = screen(gains, table.spread)
    return intervals


def _freeze(table: Table, screened: Mapping[int, Interval], ranked: Mapping[int, Sequence[int]]) -> list[Way]:
    """DPO at each setting between which its tuning chose, the others at the chosen one."""
    known = {loss: interval for loss, interval in screened.items() if table.losses[loss] in LIBRARY}
    proposed = {loss: interval for loss, interval in screened.items() if loss not in known}
    reference = table.losses.index(DPO)
    known.pop(reference, None)
    others = [*pick_best(proposed, FINALISTS), *pick_best(known, 1)]
    return [*((loss, ranked[loss][0]) for loss in others), *((reference, at) for at in ranked[reference])]


def _confirm(table: Table, way: Way, draws: Sequence[int]) -> float:
    return fmean(_or_failed(table.value(way, draw)) for draw in draws)


def _rank(table: Table, screened: Mapping[int, Interval], bests: Mapping[int, float | None]) -> tuple[float, float]:
    truth = [float(each) for each in table.means.max(axis=1)]
    among = sorted(screened)
    scores = [screened[loss].mean if loss in screened else _or_failed(best) + _FAILED for loss, best in bests.items()]
    of_all = find_agreement(scores, truth)
    of_screened = find_agreement([screened[loss].mean for loss in among], [truth[loss] for loss in among])
    return of_all.tau, of_screened.tau

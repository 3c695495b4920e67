"""What is counted of a re-drawn campaign: its verdicts, whether they are right, and whether its intervals hold.

An interval of a confirmation is looked at as it is shown, at the level that its comparison says, and once more as if
the finalist were the only one, for which the service's own rule gives 95 %.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from benchmarks.redrawn import Contender, Drawn, Entry, Gains, World, confirm, freeze
from discovery_service.domain.confirming import Match, compare_with_all, find_level, stratify
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.verdicts import Verdict

COPY = "copy of DPO"
"""With what the names of copies begin."""
COPIES, LOSSES = "copies of DPO", "other losses"
"""Whose screen intervals are counted: all of them, and those of the finalists among them."""

Counts = Counter[Any]
Effects = Mapping[int, float]
Truth = Mapping[Setting, Effects | None]
"""The bank's means against the reference at each setting between which its tuning chose, the chosen one first. None
where either failed somewhere in the bank."""


@dataclass(frozen=True)
class Answers:
    """What the bank knows of a campaign's candidates, each at the setting that it was tuned to."""

    world: World
    reference: Contender
    contenders: Mapping[str, Contender]
    entries: Mapping[str, Entry]
    """Of candidates that are no copies of DPO."""
    salts: slice
    """Over which trainings of DPO there are means."""

    def find(self, name: str) -> Truth:
        own = self._find_means(name)
        truth: dict[Setting, Effects | None] = {}
        for at in self.reference.ranked:
            theirs = self.world.find_means(self.world.reference, at, self.salts)
            effects = None if own is None or theirs is None else {p: own[p] - theirs[p] for p in own}
            truth[self.reference.settings[at]] = effects
        return truth

    def find_screened(self, name: str) -> float | None:
        """Against the reference at its chosen setting, under the base policy of the screen."""
        chosen, theirs = self.contenders[name].chosen, self.reference.chosen
        if chosen is None or theirs is None:
            return None
        own = self.world.find_screened(self._get_entry(name), chosen, self.salts)
        other = self.world.find_screened(self.world.reference, theirs, self.salts)
        return None if own is None or other is None else own - other

    def _find_means(self, name: str) -> dict[int, float] | None:
        chosen = self.contenders[name].chosen
        return None if chosen is None else self.world.find_means(self._get_entry(name), chosen, self.salts)

    def _get_entry(self, name: str) -> Entry:
        return self.entries.get(name, self.world.reference)


@dataclass(frozen=True)
class Judged:
    """A finalist."""

    name: str
    gains: Gains
    finalists: int
    """Frozen beside it and with it."""
    truth: Truth

    @cached_property
    def match(self) -> Match:
        return compare_with_all(self.gains, self.finalists)

    def bound_alone(self, setting: Setting) -> Interval:
        """Against the reference at that setting, were it the only finalist."""
        return stratify(self.gains[setting], find_level(1))

    @property
    def is_right(self) -> bool:
        """To be called better: no copy of DPO is, and nothing else that is not under every base policy, than DPO at
        each setting that it met."""
        is_better = all(effects is not None and min(effects.values()) > 0 for effects in self.truth.values())
        return is_better and not self.name.startswith(COPY)

    def holds(self, interval: Interval, setting: Setting) -> bool | None:
        """Whether it holds the truth there; None where nobody knows that."""
        effects = self.truth[setting]
        return None if effects is None else _holds(interval, fmean(effects.values()))


def judge(answers: Answers, screened: Mapping[str, Interval], drawn: Drawn) -> Counts:
    counts = _count(list(_judge(answers, screened, drawn)))
    _count_screen(counts, answers, screened)
    return counts


def _judge(answers: Answers, screened: Mapping[str, Interval], drawn: Drawn) -> Iterator[Judged]:
    """The finalists, but for one that failed while it was confirmed: it has no verdict."""
    names = freeze(screened)
    for name in names:
        gains = confirm(answers.contenders[name], answers.reference, drawn)
        if gains is not None:
            yield Judged(name, gains, len(names), answers.find(name))


def _count(finalists: Sequence[Judged]) -> Counts:
    counts: Counts = Counter(campaigns=1)
    for each in finalists:
        counts["finalists"] += 1
        counts[each.match.verdict] += 1
        counts["right"] += each.match.verdict is Verdict.BETTER and each.is_right
    counts["with better"] = counts[Verdict.BETTER] > 0
    counts["with worse"] = counts[Verdict.WORSE] > 0
    _count_intervals(counts, finalists)
    return counts


def _count_intervals(counts: Counts, finalists: Sequence[Judged]) -> None:
    """Shown is the one with the reference at the harder of its settings, which is known only afterwards."""
    shown = []
    for each in finalists:
        hardest, first = each.match.hardest, next(iter(each.truth))
        holds = each.holds(each.match.counting.interval, hardest)
        alone = each.holds(each.bound_alone(hardest), hardest)
        chosen = alone if hardest == first else each.holds(each.bound_alone(first), first)
        if holds is None or alone is None or chosen is None:
            continue
        shown.append(holds)
        counts.update({"intervals": 1, "level": each.match.counting.level})
        counts.update({"hold": holds, "hold alone": alone, "hold at the chosen setting": chosen})
    if shown:
        counts.update({"campaigns with intervals": 1, "all hold": all(shown)})


def _count_screen(counts: Counts, answers: Answers, screened: Mapping[str, Interval]) -> None:
    finalists = freeze(screened)
    for name, interval in screened.items():
        truth = answers.find_screened(name)
        if truth is None:
            continue
        kind, holds = COPIES if name.startswith(COPY) else LOSSES, _holds(interval, truth)
        for stage in ("screened", "frozen") if name in finalists else ("screened",):
            counts.update({(stage, kind): 1, (f"{stage} holds", kind): holds})


def _holds(interval: Interval, value: float) -> bool:
    return interval.low is not None and interval.high is not None and interval.low <= value <= interval.high

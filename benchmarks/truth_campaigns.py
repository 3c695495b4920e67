"""Kinds of re-drawn campaigns of which the right answer is known, and what is counted in them.

Twelve candidates, four rounds of three, as in the campaigns that a language model ran on the prototype.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmarks.judging import COPY, Answers, Counts, judge
from benchmarks.planted import PLANTED
from benchmarks.redrawn import (
    FINALISTS,
    Drawn,
    Entry,
    Values,
    World,
    confirm,
    draw_campaign,
    enter,
    freeze,
    screen_all,
)
from discovery_service.domain.confirming import Comparison, Match, compare_with_all
from discovery_service.domain.intervals import Interval
from discovery_service.domain.verdicts import Verdict, read_verdict

CANDIDATES = 12
SIZEABLE = 1.5
"""Times the smallest detectable difference: a gain that is to be found."""
GAINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""At which the power is told."""

Play = Callable[[World, random.Random], Counts]


def play_placebo(world: World, rng: random.Random) -> Counts:
    """All candidates are DPO, each with pairs, labels and order of its own, and so is what they are compared with.

    Of the trainings that the bank has on a draw one is the reference's and each candidate has one of the others, all
    drawn anew, so that none is favoured. No candidate has the reference's own training, which would be a difference of
    exactly 0 that no campaign has. The others being two, candidates share trainings: their differences correlate by
    .75, where those of losses with trainings of their own correlate by .5 through the reference alone. Several
    finalists are then called better in one campaign instead of in several: the share of such campaigns comes out too
    low, the number of such verdicts a campaign does not, and is no less than the share would be.
    """
    drawn = draw_campaign(world, rng)
    entry = world.reference
    salts = range(len(entry.values))
    own = [rng.choice(salts) for _ in drawn.places]
    others = [[salt for salt in salts if salt != taken] for taken in own]
    reference = enter(entry.settings, _pick(entry, own, drawn))
    contenders = {
        f"{COPY} {number}": enter(entry.settings, _pick(entry, [rng.choice(left) for left in others], drawn))
        for number in range(CANDIDATES)
    }
    answers = Answers(world, reference, contenders, entries={}, salts=slice(len(entry.values)))
    return judge(answers, screen_all(contenders, reference, world.spread), drawn)


def _pick(entry: Entry, salts: Sequence[int], drawn: Drawn) -> list[Values]:
    return [entry.values[salt][place] for salt, place in zip(salts, drawn.places, strict=True)]


def play_planted(world: World, rng: random.Random) -> Counts:
    """The candidates are the planted winner, other losses that the campaign's library lacks, and copies of DPO."""
    drawn = draw_campaign(world, rng)
    reference = enter(world.reference.settings, _pick(world.reference, [0] * len(drawn.places), drawn))
    contenders = {
        loss: enter(entry.settings, _pick(entry, [0] * len(drawn.places), drawn))
        for loss, entry in world.entries.items()
    }
    while len(contenders) < CANDIDATES:
        copied = _copy(world.reference, drawn, rng)
        contenders[f"{COPY} {len(contenders)}"] = enter(world.reference.settings, copied)
    answers = Answers(world, reference, contenders, world.entries, salts=slice(1))
    screened = screen_all(contenders, reference, world.spread)
    counts = judge(answers, screened, drawn)
    known = [effects for effects in answers.find(PLANTED).values() if effects is not None]
    if known:
        gain, gains = min(fmean(each.values()) for each in known), confirm(contenders[PLANTED], reference, drawn)
        match = None if gains is None else compare_with_all(gains, FINALISTS)
        _count_winner(counts, world, match, PLANTED in freeze(screened), gain)
        if match is not None and PLANTED in screened:
            _count_power(counts, match, screened, gain)
    return counts


def _copy(entry: Entry, drawn: Drawn, rng: random.Random) -> list[Values]:
    """As far from the reference as another training with DPO is, to either side by chance, for neither is the better.

    Taken as it is, its mean over the few draws of the bank would be its truth, and not 0.
    """
    copied = []
    for place in drawn.places:
        other, side = rng.choice(entry.values[1:])[place], rng.choice((-1, 1))
        copied.append(
            tuple(
                None if mine is None or its is None else mine + side * (its - mine)
                for mine, its in zip(entry.values[0][place], other, strict=True)
            )
        )
    return copied


def _count_winner(counts: Counts, world: World, match: Match | None, is_finalist: bool, gain: float) -> None:
    """Whether the planted loss is found, and whether it had to be: by its gain on DPO at the harder of its settings."""
    is_found = is_finalist and match is not None and match.verdict is Verdict.BETTER
    counts.update({"winners": 1, "gain": gain, "winner a finalist": is_finalist, "winner found": is_found})
    if gain >= SIZEABLE * world.detectable:
        counts.update({"sizeable": 1, "sizeable found": is_found})
    if match is not None:
        counts.update({"variances": 1, "variance": match.counting.sd**2})


def _count_power(counts: Counts, match: Match, screened: Mapping[str, Interval], gain: float) -> None:
    """Were its true gain another one: what lacks is added to each of its differences, screened and confirmed."""
    for wanted in GAINS:
        more = wanted - gain
        counts["asked", wanted] += 1
        if PLANTED in freeze({**screened, PLANTED: _shift(screened[PLANTED], more)}):
            is_found = all(_is_better(each, more) for each in match.comparisons.values())
            counts.update({("chosen", wanted): 1, ("found", wanted): is_found})


def _is_better(comparison: Comparison, more: float) -> bool:
    effects = [effect + more for effect in comparison.effects.values()]
    return read_verdict(_shift(comparison.interval, more), effects) is Verdict.BETTER


def _shift(interval: Interval, more: float) -> Interval:
    assert interval.low is not None
    assert interval.high is not None
    return replace(interval, mean=interval.mean + more, low=interval.low + more, high=interval.high + more)


def repeat(play: Play, world: World, campaigns: int, rng: random.Random) -> Counts:
    counts: Counts = Counter()
    for _ in range(campaigns):
        counts.update(play(world, rng))
    return counts


@dataclass(frozen=True)
class Sample:
    """How many campaigns are drawn of an arena, and how its bank is drawn anew for the intervals."""

    campaigns: int = 1000
    banks: int = 100
    campaigns_of_bank: int = 80
    seed: int = 0


@dataclass(frozen=True)
class Drawing:
    """What was counted of an arena."""

    total: Counts
    banks: Sequence[Counts]
    """With as many draws as the bank, drawn from it with replacement, each the truth of its own campaigns."""


def sample(play: Play, world: World, plan: Sample) -> Drawing:
    rng = random.Random(f"{plan.seed} {play.__name__} {world.arena}")
    total = repeat(play, world, plan.campaigns, rng)
    banks = [repeat(play, world.resample(rng), plan.campaigns_of_bank, rng) for _ in range(plan.banks)]
    return Drawing(total, banks)


def add_up(drawings: Iterable[Drawing]) -> Drawing:
    """Of several arenas: their banks are drawn independently."""
    known = list(drawings)
    banks = [_sum(counts) for counts in zip(*(each.banks for each in known), strict=True)]
    return Drawing(_sum(each.total for each in known), banks)


def _sum(counts: Iterable[Counts]) -> Counts:
    total: Counts = Counter()
    for each in counts:
        total.update(each)
    return total

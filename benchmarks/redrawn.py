"""A campaign drawn anew from the bank, judged by the functions that judge the service's own.

Tune and screen draws are of the first base policy, confirming draws of all three, each redrawn with replacement from a
part of the bank that the others do not touch. The first stage of tuning, seven settings on one draw, is what really
happened; which of the two settings it left is chosen, is redrawn.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from discovery_service.domain.differences import Occasion, find_differences, find_whole
from discovery_service.domain.freezing import pick_best
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.power import MIN_DRAWS, POLICIES, find_detectable
from discovery_service.domain.screening import Spread, screen
from discovery_service.domain.tuning import rank_settings

FINALISTS = 3
TUNE_DRAWS = SCREEN_DRAWS = 3
CONFIRM_DRAWS = MIN_DRAWS
_TUNE = slice(0, TUNE_DRAWS)
_SCREEN = slice(TUNE_DRAWS, TUNE_DRAWS + SCREEN_DRAWS)
_CONFIRM = slice(TUNE_DRAWS + SCREEN_DRAWS, None)
_SCREENED = tuple(Occasion(0, str(number)) for number in range(SCREEN_DRAWS))

Values = tuple[float | None, ...]
"""J at each of a loss's settings on one draw; None where it failed."""
Gains = Mapping[Setting, Mapping[Occasion, float]]
"""A loss's differences to the reference at each of its settings, draw by draw."""


@dataclass(frozen=True)
class Entry:
    """A loss in the bank."""

    settings: tuple[Setting, ...]
    """What went on to the last stage of tuning."""
    values: tuple[Sequence[Values], ...]
    """By salt, the empty one first, and place."""


@dataclass(frozen=True)
class World:
    """An arena as the bank has it. A part lists places, numbers into the values of every entry."""

    arena: str
    spread: Spread
    sd: float
    """By which the service plans a confirmation in it."""
    reference: Entry
    entries: Mapping[str, Entry]
    tune: Sequence[int]
    screen: Sequence[int]
    confirm: Mapping[int, Sequence[int]]
    """By base policy."""

    @property
    def detectable(self) -> float:
        """The smallest difference that a confirmation is sure enough to find, as the service tells it."""
        return find_detectable(sd=self.sd, draws=CONFIRM_DRAWS, finalists=FINALISTS, met=len(self.reference.settings))

    def resample(self, rng: random.Random) -> "World":
        """The arena of another bank with as many draws, for the bootstrap. Its spread stays the published one."""

        def again(part: Sequence[int]) -> list[int]:
            return rng.choices(part, k=len(part))

        confirm = {policy: again(part) for policy, part in self.confirm.items()}
        return replace(self, tune=again(self.tune), screen=again(self.screen), confirm=confirm)

    def find_means(self, entry: Entry, at: int, salts: slice = slice(1)) -> dict[int, float] | None:
        """The truth of a setting by base policy; None where it failed on some draw."""
        return find_whole({policy: find_mean(entry, at, part, salts) for policy, part in self.confirm.items()})

    def find_screened(self, entry: Entry, at: int, salts: slice = slice(1)) -> float | None:
        """The truth of what a screen estimates."""
        return find_mean(entry, at, self.screen, salts)


def find_mean(entry: Entry, at: int, part: Sequence[int], salts: slice) -> float | None:
    """None where it failed on some draw."""
    values = [each[place][at] for each in entry.values[salts] for place in part]
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


@dataclass(frozen=True)
class Drawn:
    """The draws of a campaign, the same for all its losses."""

    places: Sequence[int]
    occasions: Sequence[Occasion]
    """Of the confirming ones. A draw that came twice is two."""


def draw_campaign(world: World, rng: random.Random) -> Drawn:
    places = [*rng.choices(world.tune, k=TUNE_DRAWS), *rng.choices(world.screen, k=SCREEN_DRAWS)]
    occasions = []
    for policy, part in sorted(world.confirm.items()):
        drawn = rng.choices(part, k=CONFIRM_DRAWS // POLICIES)
        occasions += [Occasion(policy, str(number)) for number in range(len(drawn))]
        places += drawn
    return Drawn(places, occasions)


@dataclass(frozen=True)
class Contender:
    """A loss in a campaign, with what it has on each of its draws."""

    settings: tuple[Setting, ...]
    values: Sequence[Values]
    ranked: tuple[int, ...]
    """Of them, those between which its tuning chose, the chosen one first; none where every training failed."""

    @property
    def chosen(self) -> int | None:
        return next(iter(self.ranked), None)

    def take(self, span: slice, at: int) -> list[float | None]:
        return [each[at] for each in self.values[span]]


def enter(settings: tuple[Setting, ...], values: Sequence[Values]) -> Contender:
    """Tunes it."""
    tuned = {setting: [each[at] for each in values[_TUNE]] for at, setting in enumerate(settings)}
    return Contender(settings, values, tuple(settings.index(each) for each in rank_settings(tuned)))


def find_gains(
    contender: Contender, reference: Contender, at: int, span: slice, occasions: Sequence[Occasion]
) -> dict[Occasion, float] | None:
    """On the reference at that setting of its own.

    None where either failed on some draw: then there is no estimate, as those it failed on were the hard ones.
    """
    if contender.chosen is None:
        return None
    own = find_whole(dict(zip(occasions, contender.take(span, contender.chosen), strict=True)))
    other = find_whole(dict(zip(occasions, reference.take(span, at), strict=True)))
    return None if own is None or other is None else find_differences(own, other)


def screen_all(contenders: Mapping[str, Contender], reference: Contender, spread: Spread) -> dict[str, Interval]:
    """Of those that have an estimate."""
    if reference.chosen is None:
        return {}
    gains = {
        name: find_gains(each, reference, reference.chosen, _SCREEN, _SCREENED) for name, each in contenders.items()
    }
    return {name: screen(list(each.values()), spread) for name, each in gains.items() if each is not None}


def confirm(contender: Contender, reference: Contender, drawn: Drawn) -> Gains | None:
    """Its gains on the reference at each setting with which that was frozen.

    None where either failed on a draw at any of them: the one at which the reference failed may be the hardest to beat.
    """
    return find_whole(
        {
            reference.settings[at]: find_gains(contender, reference, at, _CONFIRM, drawn.occasions)
            for at in reference.ranked
        }
    )


def freeze(screened: Mapping[str, Interval]) -> list[str]:
    return pick_best(screened, FINALISTS)

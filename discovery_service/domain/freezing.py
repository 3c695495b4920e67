"""The freeze: which losses are confirmed at which settings, and the fresh draws that follow from that alone."""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from discovery_service.domain.confirming import find_level
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.power import MAX_DRAWS, count_draws, find_detectable
from discovery_service.domain.states import Purpose

Key = TypeVar("Key")


class Role(StrEnum):
    FINALIST = "finalist"
    REFERENCE = "reference"
    """What finalists are compared with: DPO, and the best other loss of the library."""


@dataclass(frozen=True)
class Frozen:
    """One loss as it will be confirmed."""

    role: Role
    graph_sha256: str
    setting: Setting


class TooFewDraws(ValueError):
    """A budget leaves less than half of the draws that the spec asks for, or than tell how much draws differ."""


class SdSource(StrEnum):
    """Where a plan has its standard deviation from."""

    CALIBRATION = "calibration"
    OWN_SCREEN = "own screen"
    """Nobody has calibrated the arena: fitted to the campaign's own screen, three draws a loss."""
    NOTHING = "nothing"
    """Not even that: a held-out arena has no screen, and in a screen of few losses none may differ from DPO."""


@dataclass(frozen=True)
class ConfirmationPlan:
    """All that a confirmation uses besides what is confirmed, stored with the freeze."""

    draws: int
    finalists: int
    looked_at: int
    """How many candidates they were chosen from, without the library."""
    level: float
    """Of the intervals against DPO."""
    base_policies: tuple[int, ...]
    detect: float
    """The difference that was asked for."""
    detectable: float | None
    """The smallest one that so many draws find with 80 % power; above `detect` where not even the most draws do."""
    sd: float | None
    """Of a paired difference over draws, as far as it was known."""
    sd_source: SdSource
    spare: int | None = None
    """Evaluations of the budget that nobody has a claim to, which held-out arenas share. Only of a search arena."""


def plan_confirmation(
    *,
    detect: float,
    at_least: int,
    sd: float | None,
    sd_source: SdSource,
    finalists: int,
    looked_at: int,
    base_policies: Sequence[int],
    met: int = 1,
    at_most: int | None = None,
) -> ConfirmationPlan:
    """As many draws as `detect` takes, evenly over the base policies; without a standard deviation `at_least`.

    `met`: at how many settings DPO is. `at_most`: what a budget leaves; TooFewDraws where that is no confirmation.
    """
    policies = len(base_policies)
    # Two of each policy at least, or nothing tells how much draws differ; so more than 30 policies exceed the most.
    fewest = max(min(math.ceil(at_least / policies), MAX_DRAWS // policies), 2) * policies
    draws, detectable = fewest, None
    if sd is not None and fewest <= MAX_DRAWS:
        draws = count_draws(detect, sd=sd, finalists=finalists, at_least=fewest, policies=policies, met=met)
    if at_most is not None and at_most < draws:
        draws = _cap(draws, at_most, at_least=at_least, policies=policies)
    if sd is not None:
        detectable = find_detectable(sd=sd, draws=draws, finalists=finalists, policies=policies, met=met)
    return ConfirmationPlan(
        draws=draws,
        finalists=finalists,
        looked_at=looked_at,
        level=find_level(finalists),
        base_policies=tuple(base_policies),
        detect=detect,
        detectable=detectable,
        sd=sd,
        sd_source=sd_source,
    )


def _cap(draws: int, at_most: int, *, at_least: int, policies: int) -> int:
    fewest = max(math.ceil(at_least / 2 / policies), 2) * policies
    if at_most < fewest:
        raise TooFewDraws(
            f"the confirmation would take {draws} draws of each loss, {fewest} at the very least, and the budget leaves"
            f" {max(at_most, 0)}"
        )
    return at_most - at_most % policies


def pick_best(screened: Mapping[Key, Interval], count: int) -> list[Key]:
    """By the lower bound of the difference to DPO, best first; of equal ones the earlier. One without bound is none."""
    bounds = {key: interval.low for key, interval in screened.items() if interval.low is not None}
    return sorted(bounds, key=lambda key: -bounds[key])[:count]


def find_digest(
    frozen: Iterable[Frozen],
    *,
    arena_sha256: str,
    seed: int,
    base_policies: Sequence[int],
    draws: int,
    extension: int = 0,
) -> str:
    """The same in whatever order; another one where a loss, a setting, a role or anything else of these is another.

    Of the number of draws too: a clone that asks for more of them shares none, so that nobody goes on measuring where
    a result has been seen and did not please. Of the extension too: what is confirmed again is so on other draws.
    """
    told = sorted(
        json.dumps([each.role, each.graph_sha256, each.setting.document()], sort_keys=True) for each in frozen
    )
    # As it was before there were extensions: what was sealed then stays sealed.
    extended = [extension] if extension else []
    facts = [arena_sha256, seed, [*base_policies], draws, told, *extended]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def list_confirm_draws(digest: str, base_policies: Sequence[int], count: int) -> list[tuple[int, Draw]]:
    """Spread evenly over the base policies. A rerun repeats them, any other freeze gets new ones.

    So nobody can look at them before the freeze, and whoever changes a finalist afterwards has to draw again.
    """
    return [
        (base_policies[index % len(base_policies)], Draw(Purpose.CONFIRM, f"{digest} {index}"))
        for index in range(count)
    ]


def check_spread(base_policies: Collection[int], count: int) -> None:
    """ValueError where some policy would have other draws than the rest, or none to see its spread by."""
    policies = len(base_policies)
    if count % policies or count < 2 * policies:
        raise ValueError(f"{count} draws: must be a multiple of {policies}, and {2 * policies} at least.")

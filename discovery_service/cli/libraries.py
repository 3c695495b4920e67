"""What the tuned library tells of an arena, as people read it."""

from collections.abc import Iterator, Mapping
from typing import Any

from discovery_service.domain.calibration import is_without_spread
from discovery_service.domain.intervals import LEVEL
from discovery_service.domain.known_losses import find_reference
from discovery_service.domain.power import find_detectable
from discovery_service.domain.students_t import AS_GOOD_AS_INFINITE

Library = Mapping[str, Any]
STANDS_FOR_FROM = 0.6
"""Kendall's tau; from here on a search in the small size says something of the large one."""


def tabulate_library(library: Library) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """The best first; those that failed somewhere have no interval and come last."""
    losses = sorted(library["losses"].items(), key=lambda each: -each[1]["value"]["mean"] if each[1]["value"] else 0.0)
    losses.sort(key=lambda each: each[1]["value"] is None)
    levels = [f"{100 * each:.4g} %" for each in (LEVEL, library["level"])]
    reference = find_reference(library["losses"])
    columns = f"value, {levels[0]}", f"less {reference}'s, {levels[1]}", "sd of that"
    return ("loss", "beta", "learning rate", "steps", *columns), [
        _tabulate(name, loss, library["draws"]) for name, loss in losses
    ]


def _tabulate(name: str, loss: Mapping[str, Any], draws: int) -> tuple[object, ...]:
    chosen = loss["settings"][0] if loss["settings"] else {}
    sizes = (chosen.get(part) for part in ("beta", "learning_rate", "steps"))
    value = _tell(loss["value"]) if loss["value"] else _tell_failure(loss, draws)
    difference = _tell(loss["difference"], signed=True) if loss["difference"] else None
    return (name, *(None if each is None else f"{each:g}" for each in sizes), value, difference, loss["sd"])


def _tell_failure(loss: Mapping[str, Any], draws: int) -> str:
    return f"failed on {loss['failed']} of {draws} draws" if loss["settings"] else "could not be tuned"


def _tell(interval: Mapping[str, Any], *, signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    return f"{interval['mean']:{form}} [{interval['low']:{form}}, {interval['high']:{form}}]"


def tell_library(library: Library) -> Iterator[str]:
    """What it means for whoever compares losses in this arena."""
    detectable, spread, reference = library["detectable"], library["spread"], find_reference(library["losses"])
    yield (
        f"Three in four tuned losses differ from {reference} with a standard deviation of {library['sd']:.3f} over"
        " draws or less;"
        f" {detectable['draws']} draws find a difference of {detectable['difference']:.3f} with 80 % power"
        f" where it is alike under all base policies, {detectable['finalists']} finalists together."
        f" A screen borrows a standard deviation of {spread['sd']:.3f} {_tell_degrees(spread['degrees'])}."
    )
    compared = sum(each["difference"] is not None for each in library["losses"].values())
    for words in ("better", "worse"):
        names = ", ".join(library[words]) or "none"
        yield f"Of {compared} known losses {words} than {reference}, corrected for all: {names}."
    if is_without_spread(library):
        policies, met = len(library["base_policies"]), len(library["losses"][reference]["settings"])
        seen = find_detectable(sd=library["sd"], draws=library["draws"], finalists=compared, policies=policies, met=met)
        yield (
            f"A control: none of {compared} known losses could be told from {reference}; a difference below"
            f" {seen:.3f} may have been missed."
        )
    yield from (_tell_steps(steps, reference) for steps in library["steps"])


def _tell_degrees(degrees: float) -> str:
    if degrees >= AS_GOOD_AS_INFINITE:
        return "for every loss alike, as those measured do not differ in it"
    return f"with {degrees:.1f} degrees of freedom"


def tell_agreement(agreement: Mapping[str, Any]) -> str:
    """Between the sizes of an arena."""
    low, high = agreement["low"], agreement["high"]
    interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return (
        f"It ranks {agreement['losses']} known losses as {agreement['with']} does with Kendall's tau"
        f" {agreement['tau']:.2f}{interval}."
        + f" Below {STANDS_FOR_FROM:g} one size does not stand for the other."
        * (agreement["tau"] < STANDS_FOR_FROM)
    )


def _tell_steps(steps: Mapping[str, Any], reference: str) -> str:
    if steps["difference"] is None:
        return f"With {steps['steps']} steps {reference} failed."
    beside = {
        None: "; nobody knows whether that is within the noise",
        True: ": no gain beyond the noise",
        False: ": a gain beyond the noise",
    }[steps["gains_less_than_noise"]]
    return f"With {steps['steps']} steps {reference} changes by {_tell(steps['difference'], signed=True)}{beside}."

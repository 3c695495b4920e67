"""What a comparison will cost, told before it begins."""

import math

from discovery_service.domain.power import POWER, find_detectable
from discovery_service.domain.published import find_calibration, find_figures
from workers.compare.contest import Contest, Place
from workers.compare.sentences import tell_level
from workers.compare.tuning import BASE_POLICY
from workers.slots import Slots

_HOUR_MINUTES = 60
_TOLD_IN_HOURS_FROM = 90


def count_trainings(contest: Contest) -> int:
    """All that may be needed: the reference is confirmed at each setting that reaches the end of its tuning."""
    place = contest.place
    return len(contest.names) * (place.plan.trainings + place.draws) + _count_more(place)


def _count_more(place: Place) -> int:
    return (place.plan.finalists - 1) * place.draws


def estimate(contest: Contest, slots: Slots) -> str:
    return f"{_tell_cost(contest, slots)}{_tell_detectable(contest)}"


def _tell_detectable(contest: Contest) -> str:
    """How small a difference it can find where the arena is calibrated, so that nobody waits for too few draws."""
    place = contest.place
    library = (find_calibration(place.arena_sha256) or {}).get("library")
    if library is None:
        return ""
    found = find_detectable(
        sd=library["sd"],
        draws=place.draws,
        finalists=len(contest.finalists),
        policies=len(place.base_policies),
        met=place.plan.finalists,
    )
    return (
        f" {place.draws} draws find a difference of {found:.3f} in {place.counts} with {tell_level(POWER)} power, if"
        " these losses are as noisy as the library's and it is alike under all base policies."
    )


def _tell_cost(contest: Contest, slots: Slots) -> str:
    trainings, place = count_trainings(contest), contest.place
    wanted = (
        f"At most {trainings} trainings in {place.arena['name']}: of each loss {place.plan.trainings} to tune it and"
        f" {place.draws} to confirm, and {_count_more(place)} more of {contest.reference.name} at another setting"
    )
    seconds = _find_training_s(place) if all(each.kind == "cpu" for each in slots.devices) else None
    if seconds is None:
        return f"{wanted}. How long that takes is known once the first one is done."
    minutes = seconds * trainings / len(slots.devices) / 60
    where = "1 slot" if len(slots.devices) == 1 else f"{len(slots.devices)} slots with a core each"
    return f"{wanted}; {_tell(minutes)} on {where}."


def _find_training_s(place: Place) -> float | None:
    """Of a core, with measuring; None where nobody has published it."""
    figures = find_figures(place.arena_sha256, BASE_POLICY)
    if figures is None or figures.training_s is None or figures.measuring_s is None:
        return None
    return figures.training_s + figures.measuring_s


def _tell(minutes: float) -> str:
    if minutes > _TOLD_IN_HOURS_FROM:
        return f"about {minutes / _HOUR_MINUTES:.1f} hours"
    whole = math.ceil(minutes)
    return f"about {whole} minutes" if whole > 1 else "about a minute"

"""How far a campaign has come, in words, and about how long it still takes, with what that rests on."""

from dataclasses import dataclass
from enum import StrEnum

from discovery_service.domain.budget import expect_time


class CampaignStage(StrEnum):
    LIBRARY = "library"
    """The known losses are judged, tuned and screened."""
    SEARCHING = "searching"
    CONFIRMING = "confirming"
    """What was frozen is trained on fresh draws; in held-out arenas tuning begins meanwhile."""
    HELD_OUT = "held out"
    """Only the held-out arenas are still to be settled."""
    ENDED = "ended"


@dataclass(frozen=True)
class Forecast:
    evaluations: int
    """Still needed, at most."""
    mean_seconds: float | None
    """Of one evaluation of this campaign so far; None before the first."""
    slots: int
    """Of the live workers that train."""
    seconds: float | None
    """About so many, as each is taken to last as long as the mean so far; None where nobody knows."""
    rests_on: str


def make_forecast(
    evaluations: int, *, measured: int, device_seconds: float, slots: int, halted: str | None = None
) -> Forecast:
    """From what the campaign's evaluations took so far; losses that end early and reused measurements make it less.

    `halted` says in a sentence why nothing goes on, where nothing does.
    """
    mean = device_seconds / measured if measured else None
    seconds: float | None = None
    if halted is not None:
        rests_on = halted
    elif not evaluations:
        seconds, rests_on = 0.0, "Nothing is left to be trained."
    elif mean is None:
        rests_on = "Nothing of it is measured yet."
    elif not slots:
        rests_on = "No worker that trains is live."
    else:
        likely = expect_time(evaluations, measured=measured, device_seconds=device_seconds, slots=slots)
        seconds = likely.wall_time_s
        rests_on = (
            f"At most {evaluations} evaluations of {mean:.2f} s, the mean so far, on {slots} slots that are this"
            " campaign's alone; waiting for models and the gate is not in it."
        )
    return Forecast(evaluations, mean, slots, seconds, rests_on)

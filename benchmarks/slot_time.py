"""What became of the time that a campaign's slots had: trained in, without work, or lost between the two.

All of it counts from the start of the first training to the moment when the last round was opened, for until then there
is budget that could be trained with: slots x seconds. In that,

    trained   is what trainings took on their device, with the pairs that the first one of a draw has built for all.
              A measurement that was found and not made takes none, so a window without any training has no shares.
    starved   is when fewer evaluations waited or ran than there are slots: for proposals, the gate, a round's barrier.
    lost      is the rest: an evaluation waited beside a free slot, or held one without training: messages, claims,
              rows.

The device idle share is starved and lost, and what the scheduler costs is lost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """An evaluation, in seconds of one clock. The last attempt counts: what crashed before it was waiting."""

    queued_at: float
    started_at: float
    finished_at: float
    trained_s: float
    """0 where what was measured before was taken."""


@dataclass(frozen=True)
class SlotTime:
    total_s: float
    trained_s: float
    starved_s: float

    @property
    def lost_s(self) -> float:
        return self.total_s - self.trained_s - self.starved_s

    @property
    def idle_share(self) -> float:
        return 1 - self.trained_s / self.total_s

    @property
    def lost_share(self) -> float:
        return self.lost_s / self.total_s


def find_slot_time(spans: Sequence[Span], *, slots: int, until: float) -> SlotTime | None:
    """None where nothing was trained before that moment."""
    start = min((each.started_at for each in spans if each.trained_s), default=until)
    if start >= until:
        return None
    trained = sum(_overlap(each.finished_at - each.trained_s, each.finished_at, start, until) for each in spans)
    return SlotTime(slots * (until - start), trained, sum(_list_starved(spans, slots, start, until)))


def _overlap(one: float, other: float, start: float, end: float) -> float:
    return max(0.0, min(other, end) - max(one, start))


def _list_starved(spans: Sequence[Span], slots: int, start: float, until: float) -> Iterator[float]:
    """Whether it waits or runs, an evaluation is work for one slot."""
    changes = sorted([*((each.queued_at, 1) for each in spans), *((each.finished_at, -1) for each in spans)])
    work, since = 0, start
    for at, change in [*changes, (until, 0)]:
        yield max(0, slots - work) * _overlap(since, at, start, until)
        work, since = work + change, at

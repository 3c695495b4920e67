"""The archive as a round sees it: the losses of the closed rounds with what was measured of them, and what was refused.

Pure data in natural order, (round, slot, turn), so that whoever reads it does not depend on who finished when.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from discovery_service.domain.authors import Author
from discovery_service.domain.intervals import Interval
from discovery_service.domain.known_losses import REFERENCES
from discovery_service.domain.measuring import Setting

Document = Mapping[str, Any]


class Place(NamedTuple):
    """Of a candidate in its campaign; the library has round 0."""

    round: int
    slot: int
    turn: int = 0


@dataclass(frozen=True)
class Screened:
    """What its tuning and its screen say of a loss, at the setting that served it best."""

    setting: Setting
    difference: Interval | None
    """To DPO at its own best, on the same draws; None of DPO itself, and where either failed on one."""
    means: Mapping[str, Interval]
    """By metric: J, reward, kl and what else the arena has; none where it failed on a draw."""
    failures: tuple[str, ...] = ()
    """Codes, one for each training that failed."""
    series: Document = field(default_factory=dict)
    """Of one training at that setting, as it is stored: by name, a number a step."""


@dataclass(frozen=True)
class Member:
    """A loss that the gate accepted."""

    place: Place
    name: str
    author: Author
    source: str
    """Readable, as it is shown; not what was sent."""
    graph: Document
    passport: Document
    formula: str | None = None
    thought: str = ""
    """What its author said of it."""
    screened: Screened | None = None
    """None of one that halving stopped, or that could not be tuned."""
    is_stopped: bool = False
    """Among the worse half of its round after the first trainings."""
    failures: tuple[str, ...] = ()
    """Of its tuning: codes, one for each training that failed."""
    parents: tuple[Place, ...] = ()
    twin: str | None = None
    """The known loss that it behaves like, if any."""

    @property
    def is_reference(self) -> bool:
        """Whether it is the known loss that everything is compared with."""
        return self.author is Author.LIBRARY and self.name in REFERENCES

    @property
    def lower(self) -> float | None:
        """The lower bound of the difference to DPO, by which losses are ranked."""
        return None if self.screened is None or self.screened.difference is None else self.screened.difference.low


@dataclass(frozen=True)
class Refused:
    """A reply that held no loss, or a source that the gate refused."""

    place: Place
    name: str
    author: Author
    code: str
    message: str
    """One sentence that a language model can act on."""


@dataclass(frozen=True)
class Archive:
    """Of the closed rounds that a round may see."""

    rounds: tuple[int, ...]
    members: tuple[Member, ...]
    refused: tuple[Refused, ...] = ()

    @cached_property
    def children(self) -> Counter[Place]:
        """How many losses were made from each."""
        return Counter(parent for member in self.members for parent in member.parents)

    @cached_property
    def by_place(self) -> dict[Place, Member]:
        return {member.place: member for member in self.members}

    def without_measurements(self) -> "Archive":
        """As the arm sees it that shows what measuring is worth."""
        blind = (replace(each, screened=None, is_stopped=False, failures=()) for each in self.members)
        return replace(self, members=tuple(blind))

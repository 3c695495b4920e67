"""What an export says of a loss besides its code: who proposed it, where it was measured, and against what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.intervals import LEVEL, Interval
from discovery_service.domain.measuring import Setting


@dataclass(frozen=True)
class Met:
    """One comparison; a screen's has no verdict."""

    against: str
    difference: Interval
    level: float = LEVEL
    verdict: str | None = None
    not_better_under: tuple[int, ...] = ()
    """Base policies under which the loss gains nothing on it."""


@dataclass(frozen=True)
class Evaluated:
    """What was measured in one arena at one stage."""

    arena: str
    is_search_arena: bool
    is_confirmation: bool
    """On its draws, whether it came to a verdict or not."""
    setting: Setting
    draws: int
    base_policies: tuple[int, ...]
    met: tuple[Met, ...] = ()
    means: Mapping[str, Interval] | None = None
    failed: int = 0
    arena_sha256: str = ""
    counts: str = "J"
    """The metric that differences are of."""
    before: tuple[Met, ...] = ()
    """What earlier confirmations of the campaign said of it here: each was a chance of its own."""

    @property
    def has_verdict(self) -> bool:
        return any(met.verdict for met in self.met)


@dataclass(frozen=True)
class Tuned:
    """How far it came in the arena of its search, where it was never screened."""

    arena: str
    trainings: int
    draws: int
    is_stopped: bool
    """By the halving of its round."""


@dataclass(frozen=True)
class Facts:
    """Of one accepted candidate, as its rows say."""

    name: str
    family: Family
    source: str
    """In plain form, with which it passed the gate."""
    graph_sha256: str
    torch_version: str
    formula: str | None
    passport: Mapping[str, Any]
    check_vectors: Mapping[str, Any]
    author: Author
    model: str | None
    campaign: str
    looked_at: int = 0
    """Candidates of its campaign that the gate accepted."""
    known_as: tuple[str, ...] = ()
    """The known losses that it behaves like, its campaign's library or not."""
    is_executed: bool = False
    """The gate ran the source as Python beside its graph, as only a complete lock allows."""
    evaluated: tuple[Evaluated, ...] = ()
    tuned: Tuned | None = None
    is_confirmed: bool = False

    @property
    def confirmation(self) -> Evaluated | None:
        """Where it was searched."""
        return next((each for each in self.evaluated if each.is_search_arena and each.is_confirmation), None)


@dataclass(frozen=True)
class Parent:
    """A loss that stood in the prompt, or under the knife, when this one was made."""

    candidate_id: str
    name: str
    role: str


@dataclass(frozen=True)
class Origin:
    """Where in the service it comes from: what a bundle tells beside what its module does."""

    candidate_id: str
    proposal_id: str
    campaign_id: str
    library: tuple[str, ...]
    """The known losses of its campaign."""
    accepted: int
    """Of what was proposed in its campaign, so many passed the gate, this one among them unless it is a known loss."""
    refused: int
    parents: tuple[Parent, ...]
    search_arena: Mapping[str, Any]
    """The document of the arena in which its campaign searches."""

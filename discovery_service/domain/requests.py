"""What a strategy asks a proposer for: stored with the proposal, and nothing else decides what its prompt holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from discovery_service.domain.archive import Place


class Kind(StrEnum):
    FRESH = "fresh"
    """Something that none of the others is."""
    IMPROVE = "improve"
    """A change of one parent."""
    COMBINE = "combine"
    """What two parents do well, in one loss."""


@dataclass(frozen=True)
class Request:
    kind: Kind
    parents: tuple[Place, ...] = ()
    """None of a fresh one, one to improve, two to combine."""
    inspirations: tuple[Place, ...] = ()
    """Shown beside the parents."""

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "parents": [list(each) for each in self.parents],
            "inspirations": [list(each) for each in self.inspirations],
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Request":
        return cls(
            Kind(document["kind"]),
            tuple(Place(*each) for each in document["parents"]),
            tuple(Place(*each) for each in document["inspirations"]),
        )

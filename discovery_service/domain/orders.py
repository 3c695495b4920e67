"""A round as a person orders it: in what it differs from what the campaign's spec says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from discovery_service.domain.campaign import CampaignSpec


@dataclass(frozen=True)
class Order:
    """What is None is as the spec has it."""

    size: int | None = None
    proposer: str | None = None
    """Its kind; one of the spec's, which then has the round to itself."""
    guidance: str | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> "Order":
        return cls(**(document or {}))

    def apply(self, spec: CampaignSpec) -> CampaignSpec:
        """The spec by which the round's questions are asked."""
        changed: dict[str, Any] = {}
        if self.size is not None:
            changed["strategy"] = spec.strategy.model_copy(update={"round_size": self.size})
        if self.proposer is not None:
            changed["proposers"] = [each for each in spec.proposers if each.kind == self.proposer]
        if self.guidance is not None:
            changed["guidance"] = self.guidance
        return spec.model_copy(update=changed)

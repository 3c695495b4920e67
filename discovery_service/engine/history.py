"""What a campaign's spec was when something happened, by its events: guidance and budgets may change in flight."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, Event
from discovery_service.domain.campaign import CampaignSpec

EXTENDED = "campaign.extended"
_EDITED = ("campaign.edited", EXTENDED)
_DECIDED = ("round.opened", "search.over", "freeze.sealed")


@dataclass(frozen=True)
class History:
    """Whatever changes a campaign holds its row, so that the ids of these events are in the order of what they tell."""

    spec: Mapping[str, Any]
    """As it is now."""
    edits: Mapping[int, Mapping[str, Any]]
    """By event: what the fields were that were edited."""
    extended: Collection[int]
    """By event: the extensions, each of which is an edit too."""
    happened: Mapping[UUID, int]
    """The event with which a round was opened or a freeze sealed; of the campaign itself, its search last ended."""

    def tells_of(self, subject_id: UUID) -> bool:
        return subject_id in self.happened

    def spec_at(self, subject_id: UUID) -> CampaignSpec:
        """KeyError for what no event tells of."""
        at, spec = self.happened[subject_id], dict(self.spec)
        for event_id in sorted(self.edits, reverse=True):
            if event_id > at:
                spec |= self.edits[event_id]
        return CampaignSpec.model_validate(spec)

    def extension_at(self, subject_id: UUID) -> int:
        """How often the campaign had been extended."""
        return sum(each < self.happened[subject_id] for each in self.extended)

    def was_before(self, first_id: UUID, second_id: UUID) -> bool:
        return self.happened[first_id] < self.happened[second_id]


def read_history(session: Session, campaign: Campaign) -> History:
    query = select(Event).where(Event.campaign_id == campaign.id, Event.kind.in_((*_EDITED, *_DECIDED)))
    edits: dict[int, Mapping[str, Any]] = {}
    extended: list[int] = []
    happened: dict[UUID, int] = {}
    for event in session.scalars(query.order_by(Event.id)):
        if event.kind in _EDITED:
            edits[event.id] = event.payload.get("was", {})
            extended += [event.id] if event.kind == EXTENDED else []
        elif event.subject_id is not None:
            happened[event.subject_id] = event.id
    return History(campaign.spec, edits, extended, happened)

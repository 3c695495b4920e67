"""Events over the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from discovery_service.db.tables import Event
from discovery_service.engine.events import Cursor


class EventRead(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "7312-45",
                    "campaign_id": "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e",
                    "kind": "campaign.paused",
                    "subject_id": "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e",
                    "payload": {"from": "running"},
                    "created_at": "2026-11-21T10:00:00Z",
                }
            ]
        }
    )

    id: str
    campaign_id: UUID
    kind: str
    subject_id: UUID | None
    payload: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, event: Event) -> "EventRead":
        return cls(
            id=str(Cursor.of(event)),
            campaign_id=event.campaign_id,
            kind=event.kind,
            subject_id=event.subject_id,
            payload=event.payload,
            created_at=event.created_at,
        )

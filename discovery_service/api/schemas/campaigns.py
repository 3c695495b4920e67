"""Campaigns over the wire."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from discovery_service.api.schemas.specs import CampaignSpecRead
from discovery_service.domain.campaign import EXAMPLE_BUDGETS, Budgets, CampaignSpec, Guidance, Name, Notes, Strict
from discovery_service.domain.states import CampaignStatus

_ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"
EXAMPLE_CREATE: dict[str, Any] = {
    "name": "panel, first look",
    "notes": "Can a loss find out which annotator to trust?",
    "spec": {
        "family": "pairwise",
        "arena": "panel:mini",
        "held_out_arenas": ["fog:mini"],
        "library": ["dpo", "ipo", "slic", "simpo"],
        "strategy": {"name": "evolve", "round_size": 4, "max_open_rounds": 2},
        "proposers": [{"kind": "symbolic", "share": 1.0}],
        "budgets": EXAMPLE_BUDGETS,
        "seed": 1,
        "isolation": "seccomp",
        "guidance": "Prefer losses with no more than one constant.",
    },
}


class CampaignCreate(Strict):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_CREATE]})

    name: Name
    notes: Notes = ""
    spec: CampaignSpec


class CampaignUpdate(Strict):
    """What may change after creation; an absent field stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"notes": "now with more budget", "budgets": {"candidates": 24}}],
            "minProperties": 1,
        },
    )

    name: Name | None = None
    notes: Notes | None = None
    guidance: Guidance | None = None
    budgets: Budgets | None = None

    @model_validator(mode="after")
    def something_changes(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError(
                "nothing_to_change",
                "gives nothing to change; give one of {fields}",
                {"fields": ", ".join(type(self).model_fields)},
            )
        return self


class CampaignClone(Strict):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "panel, second look"}]})

    name: Name | None = None


class ProgressRead(BaseModel):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "rounds_closed": 1,
                    "candidates": 4,
                    "evaluations": 31,
                    "tokens": 18200,
                    "cost_usd": 0.11,
                    "device_seconds": 41.9,
                }
            ]
        },
    )

    rounds_closed: int
    candidates: int
    evaluations: int
    tokens: int
    cost_usd: float
    device_seconds: float


class CampaignRead(BaseModel):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    **EXAMPLE_CREATE,
                    "spec": CampaignSpecRead.model_validate(EXAMPLE_CREATE["spec"]).model_dump(mode="json"),
                    "id": _ID,
                    "status": "failed",
                    "status_reason": "The language model's account has no funds left.",
                    "progress": ProgressRead.model_config["json_schema_extra"]["examples"][0],  # type: ignore[index]
                    "cloned_from": "019aa0a1-01c2-7d7e-8f43-1c2b6a9d0e5f",
                    "created_at": "2026-11-21T10:00:00Z",
                    "started_at": "2026-11-21T10:00:01Z",
                    "finished_at": "2026-11-21T10:04:00Z",
                    "archived_at": "2026-11-22T09:00:00Z",
                }
            ]
        },
    )

    id: UUID
    name: str
    notes: str
    status: CampaignStatus
    status_reason: str | None = Field(description="Why it was paused or failed, in a sentence; null otherwise.")
    spec: CampaignSpecRead
    progress: ProgressRead
    cloned_from: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    archived_at: datetime | None

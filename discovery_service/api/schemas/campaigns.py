"""Campaigns over the wire."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from discovery_service.api.schemas.rounds import CandidateCreate
from discovery_service.api.schemas.specs import CampaignSpecRead
from discovery_service.db.tables import Campaign
from discovery_service.domain.campaign import (
    EXAMPLE_BUDGETS,
    Budgets,
    CampaignSpec,
    Guidance,
    Name,
    Notes,
    Strict,
    example,
)
from discovery_service.domain.forecast import CampaignStage, make_forecast
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine.outlook import Outlook

_BEST: dict[str, Any] = {
    "candidate_id": "019aa0b1-2d11-7a52-8e07-3c1f6a0b9d42",
    "name": "trust_first_annotator",
    "author": "llm",
    "difference": 0.41,
    "lower": 0.12,
    "upper": 0.7,
    "stage": "confirm",
    "verdict": "better than",
    "against": "dpo",
}
_SPEND: dict[str, Any] = {
    "candidates": {"spent": 4, "committed": 12, "limit": 24},
    "evaluations": {"spent": 61, "committed": 188, "limit": 2000},
    "tokens": {"spent": 18200, "committed": 61000, "limit": 500_000},
    "cost_usd": {"spent": 0.11, "committed": 0.35, "limit": 5.0},
    "device_seconds": {"spent": 82.4, "limit": 7200.0},
    "wall_time_s": {"spent": 47.1, "limit": 3600.0},
}
_FORECAST: dict[str, Any] = {
    "seconds": 203.2,
    "evaluations": 301,
    "mean_seconds": 1.351,
    "slots": 2,
    "rests_on": make_forecast(301, measured=61, device_seconds=82.4, slots=2).rests_on,
}
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


class CampaignExtend(Strict):
    """New limits of a completed campaign, at least one of them wider; an absent one stays and null lifts it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"budgets": {"candidates": 48}}]})

    budgets: Budgets
    candidates: list[CandidateCreate] = Field(
        default=[], max_length=64, description="Losses of your own, which have its first places."
    )


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
    candidates: int = Field(
        description="That the gate has judged, refused ones and corrections too; what the budget counts is in `spend`."
    )
    evaluations: int
    tokens: int
    cost_usd: float
    device_seconds: float


class BestRead(BaseModel):
    """The proposed loss with the highest lower bound of its difference to the reference in the search arena."""

    model_config = example(**_BEST)

    candidate_id: UUID
    name: str
    author: str
    difference: float
    lower: float
    upper: float
    stage: str = Field(description="screen, which confirms nothing, until the finalists are confirmed; then confirm.")
    verdict: str | None = Field(description="Of a confirmation; null before it.")
    against: str = Field(description="The reference of its family, that it is compared with.")


class CountRead(BaseModel):
    model_config = example(spent=61, committed=188, limit=2000)

    spent: int
    committed: int = Field(description="With what is in flight at its worst and what is kept back for the end.")
    limit: int | None


class AmountRead(BaseModel):
    model_config = example(spent=41.9, limit=7200.0)

    spent: float
    limit: float | None


class ReservedAmountRead(AmountRead):
    model_config = example(spent=0.11, committed=0.35, limit=5.0)

    committed: float = Field(description="With what is in flight at its worst.")


class SpendRead(BaseModel):
    """By budget; nobody knows beforehand how many seconds something takes, so none are committed."""

    model_config = example(**_SPEND)

    candidates: CountRead
    evaluations: CountRead
    tokens: CountRead
    cost_usd: ReservedAmountRead
    device_seconds: AmountRead
    wall_time_s: AmountRead


class ForecastRead(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_FORECAST]})

    seconds: float | None = Field(description="About so many until the campaign ends; null where nobody knows.")
    evaluations: int = Field(description="Still needed, at most.")
    mean_seconds: float | None = Field(description="Of one evaluation so far.")
    slots: int = Field(description="Of the live workers that train.")
    rests_on: str


class CampaignRead(BaseModel):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    **EXAMPLE_CREATE,
                    "spec": CampaignSpecRead.model_validate(EXAMPLE_CREATE["spec"]).model_dump(mode="json"),
                    "id": _ID,
                    "status": "paused",
                    "status_reason": "The language model's account has no funds left.",
                    "stage": "searching",
                    "progress": ProgressRead.model_config["json_schema_extra"]["examples"][0],  # type: ignore[index]
                    "best": _BEST,
                    "spend": _SPEND,
                    "forecast": _FORECAST,
                    "cloned_from": "019aa0a1-01c2-7d7e-8f43-1c2b6a9d0e5f",
                    "created_at": "2026-11-21T10:00:00Z",
                    "started_at": "2026-11-21T10:00:01Z",
                    "finished_at": "2026-11-21T10:04:00Z",
                    "archived_at": "2026-11-22T09:00:00Z",
                    "extension": 0,
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
    stage: CampaignStage | None = Field(description="What it is at; null before it has begun.")
    progress: ProgressRead
    best: BestRead | None = Field(description="So far; null while nothing that was proposed has a difference.")
    spend: SpendRead
    forecast: ForecastRead | None = Field(description="Null before it has begun and once it has ended.")
    cloned_from: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    archived_at: datetime | None
    extension: int = Field(description="How often it was extended; each extension confirms anew.")

    @classmethod
    def of(cls, campaign: Campaign, outlook: Outlook) -> Self:
        """With how it stands and what it looks like to come to."""
        limits, spend, best = campaign.spec.get("budgets", {}), {}, campaign.progress.best
        for name, spent in asdict(outlook.spent).items():
            spend[name] = {"spent": spent, "committed": getattr(outlook.committed, name), "limit": limits.get(name)}
        named = ("id", "name", "notes", "status", "status_reason", "cloned_from", "extension", "created_at")
        fields = {each: getattr(campaign, each) for each in (*named, "started_at", "finished_at", "archived_at")}
        return cls.model_validate(
            {
                **fields,
                "spec": campaign.spec,
                "stage": outlook.stage,
                "progress": campaign.progress,
                "best": best and {**best, "against": REFERENCE_LOSSES[campaign.spec["family"]]},
                "spend": spend,
                "forecast": outlook.forecast,
            }
        )

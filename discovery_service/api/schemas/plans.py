"""A plan over the wire: what a campaign would take, and how small a difference it would find."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from discovery_service.api.schemas.campaigns import EXAMPLE_CREATE
from discovery_service.domain.campaign import CampaignSpec, Strict, example
from discovery_service.domain.plans import Planned, PlannedEvaluations

_CONFIRMATION: dict[str, Any] = {
    "arena": "panel:mini",
    "is_held_out": False,
    "draws": 12,
    "detect": 0.2,
    "detectable": 0.17,
    "sd": 0.12,
    "sd_source": "calibration",
    "training_s": 1.41,
}
_EVALUATIONS = {"library": 56, "search": 252, "confirmation": 72, "held_out": 127, "total": 507}
_CALLS: dict[str, Any] = {"tokens": 52_000, "cost_usd": 0.12}
_PLAN: dict[str, Any] = {
    "proposals": 24,
    "rounds": 6,
    "evaluations": _EVALUATIONS,
    "core_seconds": 714.9,
    "typical": _CALLS,
    "worst": {"tokens": 1_900_000, "cost_usd": 2.9},
    "confirmations": [_CONFIRMATION],
    "binds_first": "candidates",
    "notes": ["Target or patience may end the search earlier."],
}


class PlanCreate(Strict):
    model_config = ConfigDict(json_schema_extra={"examples": [{"spec": EXAMPLE_CREATE["spec"]}]})

    spec: CampaignSpec


class PlannedEvaluationsRead(BaseModel):
    model_config = example(**_EVALUATIONS)

    library: int
    search: int = Field(description="Tuning and screening of what is proposed.")
    confirmation: int = Field(description="In the arena of the search.")
    held_out: int = Field(description="In the others, tuning anew and confirmation.")
    total: int

    @classmethod
    def of(cls, planned: PlannedEvaluations) -> "PlannedEvaluationsRead":
        return cls(**asdict(planned), total=planned.total)


class PlannedCallsRead(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_CALLS]})

    tokens: int
    cost_usd: float | None = Field(description="Null where a model's price is not known.")


class PlannedConfirmationRead(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_CONFIRMATION]})

    arena: str
    is_held_out: bool
    draws: int
    detect: float = Field(description="The difference that the spec asks for.")
    detectable: float | None = Field(description="The smallest that so many draws find with 80 % power; null: unknown.")
    sd: float | None = Field(description="Of a paired difference over draws.")
    sd_source: str
    training_s: float | None = Field(description="Of one training on one core, with measuring; null: nobody has told.")


class PlanRead(BaseModel):
    model_config = example(**_PLAN)

    proposals: int = Field(description="As many as the budgets have room for: one is begun where its worst case fits.")
    rounds: int
    evaluations: PlannedEvaluationsRead = Field(description="At most; what was measured before is charged like new.")
    core_seconds: float | None = Field(description="On one core; null where the cost in some arena is not known.")
    typical: PlannedCallsRead = Field(
        description="Of language models: first prompts and usual replies, no corrections."
    )
    worst: PlannedCallsRead = Field(description="As the service reserves it, with every correction.")
    confirmations: list[PlannedConfirmationRead] = Field(
        description="The search's arena first; none if not even the library fits."
    )
    binds_first: str | None = Field(description="The budget that ends the search; null if not even the library fits.")
    notes: list[str]

    @classmethod
    def of(cls, planned: Planned) -> "PlanRead":
        columns = {name: getattr(planned, name) for name in cls.model_fields}
        return cls.model_validate(columns | {"evaluations": PlannedEvaluationsRead.of(planned.evaluations)})

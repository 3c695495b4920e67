"""Evaluations over the wire, with what was measured or why it was not."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from discovery_service.db.tables import Arena, Evaluation, Measurement
from discovery_service.domain.campaign import example
from discovery_service.domain.published import add_attained
from discovery_service.domain.states import EvaluationStatus, Purpose

_SETTING: dict[str, Any] = {"beta": 1.0, "learning_rate": 0.0015, "steps": 120}
_FAILURE: dict[str, Any] = {"code": "non_finite", "message": "The loss is inf at step 40 of 120.", "step": 40}
_ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"


class SettingRead(BaseModel):
    model_config = example(**_SETTING)

    beta: float
    learning_rate: float
    steps: int


class FailureRead(BaseModel):
    model_config = example(**_FAILURE)

    code: str
    message: str
    step: int | None


class EvaluationRead(BaseModel):
    model_config = example(
        id=_ID,
        campaign_id=_ID,
        candidate_id=_ID,
        arena="panel:mini",
        base_policy=0,
        setting=_SETTING,
        purpose="screen",
        draw="2",
        salt="",
        status="succeeded",
        attempt=1,
        crashes=0,
        # An example has every field: FastAPI leaves out those that are null.
        failure=_FAILURE,
        measurement_id=_ID,
        is_reused=False,
        device_seconds=1.31,
        metrics={"J": 0.842, "reward": 1.93, "kl": 1.09, "attained": 0.43},
        series={"loss": [0.69, 0.68], "margin": [0.0, 0.03]},
        build={"torch": "2.13.0", "transformers": "5.23.0", "device": "cpu", "model": "AMD EPYC, AVX2", "trainer": 1},
        created_at="2026-11-21T10:00:00Z",
        started_at="2026-11-21T10:00:01Z",
        finished_at="2026-11-21T10:00:03Z",
    )

    id: UUID
    campaign_id: UUID
    candidate_id: UUID
    arena: str
    base_policy: int
    setting: SettingRead
    purpose: Purpose
    draw: str
    salt: str
    status: EvaluationStatus
    attempt: int
    crashes: int
    failure: FailureRead | None
    measurement_id: UUID | None
    is_reused: bool
    device_seconds: float | None
    metrics: dict[str, float | None] | None = Field(
        description="Of a confirmation null, as the series, until all of it is measured: whoever looks at a part of it"
        " decides by that what becomes of the rest."
    )
    series: dict[str, list[float | None]] | None = Field(
        description="One value a step; of more than 2,000 steps some, with `step` for those that they are of."
    )
    build: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(
        cls, evaluation: Evaluation, arena: Arena, measurement: Measurement | None, unfinished: Collection[UUID]
    ) -> "EvaluationRead":
        """`unfinished`: the seals of confirmations that are not whole."""
        # Rows of older versions lack the step where there was none.
        failure = evaluation.failure and {"step": None, **evaluation.failure}
        return cls.model_validate(
            {
                **{name: getattr(evaluation, name) for name in cls.model_fields if hasattr(evaluation, name)},
                "arena": arena.name,
                "failure": failure,
                "metrics": measurement and add_attained(measurement.metrics, arena.spec, evaluation.base_policy),
                "series": measurement.series if measurement else failure and failure.get("series"),
                "build": measurement and measurement.key.get("build"),
                **({"metrics": None, "series": None} if evaluation.seal_id in unfinished else {}),
            }
        )

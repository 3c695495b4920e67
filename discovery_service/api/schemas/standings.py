"""Standings over the wire: what the screen shows, what was confirmed, and what was frozen in between."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from discovery_service.api.schemas.evaluations import SettingRead
from discovery_service.db.queries import FrozenRow, StandingRow
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import example
from discovery_service.domain.freezing import Role
from discovery_service.domain.states import Purpose

_ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"
_AT = "2026-11-21T10:00:00Z"
_SETTING = {"beta": 1.0, "learning_rate": 0.0015, "steps": 120}
_STANDING: dict[str, Any] = {
    "candidate_id": _ID,
    "name": "softened",
    "author": "symbolic",
    "arena": "panel:mini",
    "stage": "confirm",
    "extension": 0,
    "setting": _SETTING,
    "draws": 12,
    "difference": 0.41,
    "lower": 0.22,
    "upper": 0.6,
    "verdict": "better than",
    "figures": {"role": "finalist", "failed": []},
    "updated_at": _AT,
}
_FINALIST = {
    "candidate_id": _ID,
    "name": "softened",
    "author": "symbolic",
    "role": "finalist",
    "rank": 0,
    "setting": _SETTING,
}
_FREEZE = {
    "arena": "panel:mini",
    "extension": 0,
    "plan": {"draws": 12, "finalists": 1, "level": 0.95, "base_policies": [0, 1, 2]},
    "finalists": [_FINALIST],
    "digest": "6b1f0f5f0c2e4c0c9f3a5d0b8e7d1c2a" * 2,
    "sealed_at": _AT,
}


class StandingRead(BaseModel):
    model_config = example(**_STANDING)

    candidate_id: UUID
    name: str
    author: Author
    arena: str
    stage: Purpose
    extension: int
    setting: SettingRead = Field(description="The best that tuning found; of a confirmation the frozen one.")
    draws: int = Field(description="On so many it was measured.")
    difference: float | None = Field(
        description="Less the reference at its own best, of a confirmation at the hardest of its settings; null of"
        " that, before all is measured, and where one of both has failed."
    )
    lower: float | None = Field(description="Of its interval.")
    upper: float | None
    verdict: str | None = Field(description="Of a confirmed finalist; a screen has none.")
    figures: dict[str, Any] = Field(description="Means, failed draws; the curve of tuning, or each comparison.")
    updated_at: datetime


class FinalistRead(BaseModel):
    model_config = example(**_FINALIST)

    candidate_id: UUID
    name: str
    author: Author
    role: Role
    rank: int = Field(description="0 for the setting that tuning chose; a reference has others beside it.")
    setting: SettingRead


class FreezeRead(BaseModel):
    model_config = example(**_FREEZE)

    arena: str
    extension: int
    plan: dict[str, Any] = Field(description="Draws, level, base policies, and what can be detected by them.")
    finalists: list[FinalistRead]
    digest: str | None = Field(description="Of all that was sealed; the confirm draws follow from it.")
    sealed_at: datetime | None


class StandingsRead(BaseModel):
    model_config = example(
        against="dpo", screen=[_STANDING | {"stage": "screen"}], confirm=[_STANDING], freezes=[_FREEZE]
    )

    against: str = Field(description="The reference of its family, that all are compared with.")
    screen: list[StandingRead] = Field(description="The highest lower bound first, arena by arena.")
    confirm: list[StandingRead]
    freezes: list[FreezeRead] = Field(description="The earliest first.")

    @classmethod
    def of(cls, against: str, standings: Iterable[StandingRow], frozen: Sequence[FrozenRow]) -> "StandingsRead":
        rows = [_read_standing(each) for each in standings]
        freezes = {each.freeze.id: each for each in frozen}
        return cls(
            against=against,
            screen=[each for each in rows if each.stage is Purpose.SCREEN],
            confirm=[each for each in rows if each.stage is Purpose.CONFIRM],
            freezes=[
                _read_freeze(each, [row for row in frozen if row.freeze.id == key]) for key, each in freezes.items()
            ],
        )


def _read_standing(row: StandingRow) -> StandingRead:
    columns = {name: getattr(row.standing, name) for name in StandingRead.model_fields if hasattr(row.standing, name)}
    return StandingRead.model_validate(columns | {"name": row.name, "author": row.author, "arena": row.arena})


def _read_freeze(row: FrozenRow, losses: Iterable[FrozenRow]) -> FreezeRead:
    finalists = [
        {
            "candidate_id": each.finalist.candidate_id,
            "name": each.name,
            "author": each.author,
            "role": each.finalist.role,
            "rank": each.finalist.rank,
            "setting": each.finalist.setting,
        }
        for each in losses
    ]
    return FreezeRead.model_validate(
        {
            "arena": row.arena,
            "extension": row.freeze.extension,
            "plan": row.freeze.plan,
            "finalists": finalists,
            "digest": row.seal and row.seal.digest,
            "sealed_at": row.seal and row.seal.created_at,
        }
    )

"""The leaderboard over the wire: what was screened and what was confirmed in fields of their own."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from discovery_service.api.schemas.evaluations import SettingRead
from discovery_service.db.leaderboard import BoardRow, list_known_as, number_ranks
from discovery_service.db.tables import Standing
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import example
from discovery_service.domain.freezing import Role
from discovery_service.domain.known_losses import REFERENCE_LOSS

_ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"
_SETTING = {"beta": 1.0, "learning_rate": 0.0015, "steps": 120}
_INTERVAL = {"mean": 0.41, "low": 0.22, "high": 0.6, "draws": 12}
_AGAINST: dict[str, Any] = {
    "name": "simpo",
    "difference": 0.08,
    "lower": -0.05,
    "upper": 0.21,
    "level": 0.95,
    "verdict": "not distinguishable from",
}
_SCORE: dict[str, Any] = {
    "extension": 0,
    "setting": _SETTING,
    "draws": 12,
    "base_policies": [0, 1, 2],
    "difference": 0.41,
    "lower": 0.22,
    "upper": 0.6,
    "verdict": "better than",
    "against": [_AGAINST],
    "attained": _INTERVAL,
    "reward": _INTERVAL,
    "kl": _INTERVAL,
    "failed": 0,
}
_COST = {"evaluations": 22, "device_seconds": 29.7, "tokens": 1850, "cost_usd": 0.011}
_ROW: dict[str, Any] = {
    "rank": 1,
    "candidate_id": _ID,
    "name": "softened",
    "author": "llm",
    "model": "gpt-5-mini",
    "known_as": ["robust_dpo"],
    "verdict": "better than dpo",
    "is_stopped": False,
    "screen": _SCORE | {"against": []},
    "confirm": _SCORE,
    "cost": _COST,
}


class MeanRead(BaseModel):
    model_config = example(**_INTERVAL)

    mean: float
    low: float | None = Field(description="Of its own 95 %; null of one draw.")
    high: float | None
    draws: int


class AgainstRead(BaseModel):
    """A finalist's comparison with another reference than the board's, which makes no discovery."""

    model_config = example(**_AGAINST)

    name: str = Field(description="The best other loss of the campaign's library, by its screen.")
    difference: float = Field(description="Paired, less that loss.")
    lower: float | None = Field(description="Of an interval that is not joint with the one of the verdict.")
    upper: float | None
    level: float
    verdict: str


class ScoreRead(BaseModel):
    model_config = example(**_SCORE)

    extension: int = Field(description="Of the campaign, in which it was confirmed; 0 of a screen.")
    setting: SettingRead
    draws: int
    base_policies: list[int]
    difference: float | None = Field(description="Paired, less the loss that the board is against.")
    lower: float | None = Field(description="Of its interval; no difference stands without one.")
    upper: float | None
    verdict: str | None = Field(description="Of a confirmed finalist; a screen has none.")
    against: list[AgainstRead] = Field(description="The other references that a confirmed finalist met.")
    attained: MeanRead | None = Field(description="The share of what could be gained at best; null where unknown.")
    reward: MeanRead | None
    kl: MeanRead | None
    failed: int = Field(description="Draws on which it failed.")

    @classmethod
    def of(cls, standing: Standing, policies: Sequence[int]) -> "ScoreRead":
        columns = {name: getattr(standing, name) for name in cls.model_fields if hasattr(standing, name)}
        means = standing.figures.get("means", {})
        shown = {name: means.get(name) for name in ("attained", "reward", "kl")}
        failed = len(standing.figures.get("failed", ()))
        met = standing.figures.get("against", {})
        against = [{"name": name, **each} for name, each in sorted(met.items()) if name != REFERENCE_LOSS]
        others = {"base_policies": list(policies), "failed": failed, "against": against}
        return cls.model_validate({**columns, **shown, **others})


class CostRead(BaseModel):
    model_config = example(**_COST)

    evaluations: int = Field(description="Trainings of it that have ended, in every arena.")
    device_seconds: float
    tokens: int = Field(description="Of its whole proposal, refused turns included.")
    cost_usd: float


class LeaderboardRow(BaseModel):
    model_config = example(**_ROW)

    rank: int | None = Field(description="By lower bound, the confirmed ones first; null without a difference.")
    candidate_id: UUID
    name: str
    author: Author
    model: str | None = Field(description="Which language model proposed it, as its endpoint calls it.")
    known_as: list[str] = Field(description="The known losses that it behaves like.")
    verdict: str = Field(description="In words; what was not confirmed has no verdict and says so.")
    is_stopped: bool = Field(description="By the halving of its round, after its first trainings.")
    screen: ScoreRead | None
    confirm: ScoreRead | None
    cost: CostRead


class LeaderboardRead(BaseModel):
    model_config = example(campaign_id=_ID, arena="panel:mini", against=REFERENCE_LOSS, rows=[_ROW], refused=2)

    campaign_id: UUID
    arena: str
    against: str = Field(description="Whose difference to each loss is shown.")
    rows: list[LeaderboardRow]
    refused: int = Field(description="Candidates that the gate refused, which have no row.")

    @classmethod
    def of(cls, campaign_id: UUID, arena: str, board: Sequence[BoardRow], refused: int) -> "LeaderboardRead":
        ranks = number_ranks(board)
        rows = [_read_row(row, rank) for row, rank in zip(board, ranks, strict=True)]
        return cls(campaign_id=campaign_id, arena=arena, against=REFERENCE_LOSS, rows=rows, refused=refused)


def _read_row(row: BoardRow, rank: int | None) -> LeaderboardRow:
    candidate, cost = row.candidate, row.cost
    return LeaderboardRow(
        rank=rank,
        candidate_id=candidate.id,
        name=candidate.name,
        author=candidate.author,
        model=row.model,
        known_as=list_known_as(candidate),
        verdict=tell_verdict(row),
        is_stopped=row.is_stopped,
        screen=row.screen and ScoreRead.of(row.screen, row.screen_policies),
        confirm=row.confirm and ScoreRead.of(row.confirm, row.confirm_policies),
        cost=CostRead(
            evaluations=cost.evaluations,
            device_seconds=cost.device_seconds,
            tokens=cost.tokens,
            cost_usd=float(cost.cost_usd),
        ),
    )


def tell_verdict(row: BoardRow) -> str:
    candidate, confirm, screen = row.candidate, row.confirm, row.screen
    if candidate.author is Author.LIBRARY and candidate.name == REFERENCE_LOSS:
        return "what the others are compared with"
    if confirm is not None and confirm.verdict is not None:
        return f"{confirm.verdict} {REFERENCE_LOSS}"
    if confirm is not None and confirm.figures.get("role") == Role.REFERENCE:
        return "a reference, with no verdict of its own"
    if confirm is not None:
        return "no verdict: not confirmed on all draws"
    if screen is None and row.is_cut:
        return "no verdict: the time ended before it was screened"
    if screen is None and row.is_stopped:
        return "no verdict: stopped in the worse half of its round"
    if screen is None:
        return "not screened"
    return "screened only, which is no verdict" if screen.lower is not None else "no verdict: it has no difference"

"""The leaderboard over the wire: what was screened and what was confirmed in fields of their own."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from discovery_service.api.schemas.evaluations import SettingRead
from discovery_service.db.leaderboard import BoardRow, Scored, list_known_as
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import example
from discovery_service.domain.freezing import Role
from discovery_service.domain.intervals import LEVEL
from discovery_service.domain.metrics import OWN

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
    "level": 0.95,
    "verdict": "better than",
    "against": [_AGAINST],
    "attained": _INTERVAL,
    "reward": _INTERVAL,
    "kl": _INTERVAL,
    "metrics": {"disagreement": _INTERVAL},
    "failed": 0,
}
_NEXT = "WyIwMTlhYTBiMCIsICJjb25maXJtZWQiXQ"
_COST = {"evaluations": 22, "device_seconds": 29.7, "tokens": 1850, "cost_usd": 0.011}
_ROW: dict[str, Any] = {
    "rank": 1,
    "campaign_id": _ID,
    "campaign": "softer tails",
    "arena": "panel:mini",
    "arena_sha256": "5d14722f" * 8,
    "round": 2,
    "slot": 1,
    "candidate_id": _ID,
    "name": "softened",
    "author": "llm",
    "model": "gpt-5-mini",
    "known_as": ["robust_dpo"],
    "verdict": "better than dpo",
    "against": "dpo",
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
    """A finalist's comparison with another loss than the board's; only those with the reference count."""

    model_config = example(**_AGAINST)

    name: str = Field(description="The family's reference, or the best other loss of the library by its screen.")
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
    level: float | None = Field(description="Of the interval: the more finalists were frozen, the higher.")
    verdict: str | None = Field(description="Of a confirmed finalist; a screen has none.")
    against: list[AgainstRead] = Field(description="The other references that a confirmed finalist met.")
    attained: MeanRead | None = Field(description="The share of what could be gained at best; null where unknown.")
    reward: MeanRead | None
    kl: MeanRead | None
    metrics: dict[str, MeanRead] = Field(
        description="What only some arenas tell, by name: violations of a rule, bias of an outcome model and others."
    )
    failed: int = Field(description="Draws on which it failed.")

    @classmethod
    def of(cls, scored: Scored, against: str) -> "ScoreRead":
        columns = {name: getattr(scored, name) for name in cls.model_fields if hasattr(scored, name)}
        means = scored.figures.get("means", {})
        shown: dict[str, Any] = {name: means.get(name) for name in ("attained", "reward", "kl")}
        shown["metrics"] = {name: means[name] for name in OWN if name in means}
        failed = len(scored.figures.get("failed", ()))
        met = scored.figures.get("against", {})
        others = [{"name": name, **each} for name, each in sorted(met.items()) if name != against]
        level = None if scored.lower is None else met.get(against, {}).get("level", LEVEL)
        return cls.model_validate({**columns, **shown, "failed": failed, "against": others, "level": level})


class CostRead(BaseModel):
    model_config = example(**_COST)

    evaluations: int = Field(description="Trainings of it that have ended, in every arena.")
    device_seconds: float
    tokens: int = Field(description="Of its whole proposal, refused turns included.")
    cost_usd: float


class LeaderboardRow(BaseModel):
    model_config = example(**_ROW)

    rank: int | None = Field(
        description="In its arena by lower bound, the confirmed ones first; null without a difference."
    )
    campaign_id: UUID
    campaign: str
    arena: str
    arena_sha256: str = Field(description="Of its content: a board ranks within one version of an arena.")
    round: int = Field(description="0 is the library's.")
    slot: int
    candidate_id: UUID
    name: str
    author: Author
    model: str | None = Field(description="Which language model proposed it, as its endpoint calls it.")
    known_as: list[str] = Field(description="The known losses that it behaves like.")
    against: str = Field(description="Whose difference to it is shown.")
    verdict: str = Field(description="In words; what was not confirmed has no verdict and says so.")
    is_stopped: bool = Field(description="By the halving of its round, after its first trainings.")
    screen: ScoreRead | None
    confirm: ScoreRead | None
    cost: CostRead


class LeaderboardRead(BaseModel):
    """A campaign's own board."""

    model_config = example(
        campaign_id=_ID,
        arena="panel:mini",
        against="dpo",
        rows=[_ROW],
        refused=2,
        has_more=True,
        next=_NEXT,
    )

    campaign_id: UUID
    arena: str
    against: str = Field(description="Whose difference to each loss is shown.")
    rows: list[LeaderboardRow]
    refused: int = Field(description="Candidates that the gate refused, which have no row.")
    has_more: bool
    next: str | None = Field(description="The `after` of the next page.")


class LeaderboardPage(BaseModel):
    """Of all campaigns, an arena after the other: differences of two arenas do not compare."""

    model_config = example(data=[_ROW], has_more=True, next=_NEXT)

    data: list[LeaderboardRow]
    has_more: bool
    next: str | None = Field(description="The `after` of the next page.")


def read_row(row: BoardRow, against: str) -> LeaderboardRow:
    candidate, cost = row.candidate, row.cost
    return LeaderboardRow(
        rank=row.rank,
        campaign_id=candidate.campaign_id,
        campaign=row.campaign,
        arena=row.arena,
        arena_sha256=row.arena_sha256,
        round=row.round,
        slot=row.slot,
        candidate_id=candidate.id,
        name=candidate.name,
        author=candidate.author,
        model=row.model,
        known_as=list_known_as(candidate),
        against=against,
        verdict=tell_verdict(row, against),
        is_stopped=row.is_stopped,
        screen=row.screen and ScoreRead.of(row.screen, against),
        confirm=row.confirm and ScoreRead.of(row.confirm, against),
        cost=CostRead(
            evaluations=cost.evaluations,
            device_seconds=cost.device_seconds,
            tokens=cost.tokens,
            cost_usd=float(cost.cost_usd),
        ),
    )


def tell_verdict(row: BoardRow, against: str) -> str:
    candidate, confirm, screen = row.candidate, row.confirm, row.screen
    if candidate.author is Author.LIBRARY and candidate.name == against:
        return "what the others are compared with"
    if confirm is not None and confirm.verdict is not None:
        return f"{confirm.verdict} {against}"
    if confirm is not None and confirm.figures.get("role") == Role.REFERENCE:
        return "a reference, with no verdict of its own"
    if confirm is not None and confirm.figures.get("against"):
        return f"no verdict: it was not confirmed against {against}"
    if confirm is not None:
        return "no verdict: not confirmed on all draws"
    if screen is None and row.is_cut:
        return "no verdict: the time ended before it was screened"
    if screen is None and row.is_stopped:
        return "no verdict: stopped in the worse half of its round"
    if screen is None:
        return "not screened"
    return "screened only, which is no verdict" if screen.lower is not None else "no verdict: it has no difference"

"""What the API answers about boards: losses with how they stand, and what they cost."""

from collections.abc import Mapping
from uuid import UUID

from discovery_service.client.models import EvaluationSetting, Mean, Model


class Against(Model):
    """A finalist's comparison with another reference than the board's."""

    name: str
    """The family's reference, or the best other loss of the campaign's library by its screen."""
    difference: float
    """Paired, less that loss."""
    lower: float | None
    """Of an interval that is not joint with the one of the verdict."""
    upper: float | None
    level: float
    verdict: str


class Score(Model):
    extension: int
    """Of the campaign, in which it was confirmed; 0 of a screen."""
    setting: EvaluationSetting
    draws: int
    base_policies: list[int]
    difference: float | None
    """Paired, less the loss that the board is against."""
    lower: float | None
    upper: float | None
    level: float | None = None
    """Of the interval: the more finalists were frozen, the higher."""
    verdict: str | None
    """Of a confirmed finalist; a screen has none."""
    against: tuple[Against, ...] = ()
    """The other references that a confirmed finalist met."""
    attained: Mean | None
    """The share of what could be gained at best."""
    reward: Mean | None
    kl: Mean | None
    metrics: Mapping[str, Mean] = {}
    """What only some arenas tell, by name."""
    failed: int
    """Draws on which it failed."""


class Cost(Model):
    evaluations: int
    device_seconds: float
    tokens: int
    """Of its whole proposal, refused turns included."""
    cost_usd: float


class LeaderboardRow(Model):
    rank: int | None
    """In its arena by lower bound, the confirmed ones first; None without a difference."""
    campaign_id: UUID
    campaign: str
    arena: str
    arena_sha256: str = ""
    """Of its content: a board ranks within one version of an arena."""
    round: int
    """0 is the library's."""
    slot: int
    candidate_id: UUID
    name: str
    author: str
    model: str | None
    known_as: list[str]
    """The known losses that it behaves like."""
    against: str
    """Whose difference to it is shown."""
    verdict: str
    """In words."""
    is_stopped: bool = False
    """By the halving of its round, after its first trainings."""
    screen: Score | None
    confirm: Score | None
    cost: Cost


class Leaderboard(Model):
    campaign_id: UUID
    arena: str
    against: str
    rows: list[LeaderboardRow]
    refused: int = 0
    """Candidates that the gate refused, which have no row."""
    has_more: bool = False
    next: str | None = None

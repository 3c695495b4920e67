"""What the API answers. Unknown fields are kept, so that this version reads the answers of a newer service."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PrivateAttr

if TYPE_CHECKING:
    from discovery_service.client.resources import Campaigns

ENDED = frozenset({"completed", "failed", "cancelled"})
"""Statuses from which a campaign does not move by itself."""


class Model(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


Item = TypeVar("Item", bound=Model)


class Page(Model, Generic[Item]):
    data: list[Item]
    has_more: bool
    next: str | None


class FieldError(Model):
    field: str
    message: str


class Strategy(Model):
    name: str
    round_size: int
    max_open_rounds: int


class ModelWeight(Model):
    model: str
    weight: float


class Proposer(Model):
    kind: str
    share: float
    models: tuple[ModelWeight, ...] = ()


class Tuning(Model):
    screen_draws: int


class Confirmation(Model):
    finalists: int
    detect: float
    min_draws: int


class Budgets(Model):
    """Hard stops; None does not bind."""

    candidates: int | None
    evaluations: int | None
    tokens: int | None
    cost_usd: float | None
    device_seconds: float | None
    wall_time_s: float | None
    target: float | None
    patience: int | None


class CampaignSpec(Model):
    family: str
    arena: str
    held_out_arenas: list[str]
    library: Literal["all"] | list[str]
    strategy: Strategy
    proposers: list[Proposer]
    tuning: Tuning
    confirmation: Confirmation
    budgets: Budgets
    isolation: str | None
    seed: int
    guidance: str


class Progress(Model):
    rounds_closed: int
    candidates: int
    evaluations: int
    tokens: int
    cost_usd: float
    device_seconds: float


class Best(Model):
    candidate_id: UUID
    name: str
    author: str
    difference: float
    """To the reference of its family, in the search arena."""
    lower: float
    upper: float
    stage: str
    """screen, which confirms nothing, or confirm."""
    verdict: str | None
    against: str


class Account(Model):
    """What a budget has spent."""

    spent: float
    committed: float | None = None
    """With what is in flight at its worst and what is kept back for the end; None of seconds."""
    limit: float | None


class Spend(Model):
    candidates: Account
    evaluations: Account
    tokens: Account
    cost_usd: Account
    device_seconds: Account
    wall_time_s: Account


class Forecast(Model):
    seconds: float | None
    """About so many until the campaign ends; None where nobody knows."""
    evaluations: int
    """Still needed, at most."""
    mean_seconds: float | None
    slots: int
    rests_on: str


class Campaign(Model):
    id: UUID
    name: str
    notes: str
    status: str
    status_reason: str | None
    """Why it was paused or failed."""
    spec: CampaignSpec
    stage: str | None
    """library, searching, confirming, held out or ended; None before it has begun."""
    progress: Progress
    best: Best | None
    """So far."""
    spend: Spend
    forecast: Forecast | None
    cloned_from: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    archived_at: datetime | None
    extension: int
    """How often it was extended."""

    _campaigns: "Campaigns | None" = PrivateAttr(default=None)
    """Of the client that has read it."""

    def __eq__(self, other: object) -> bool:
        """By what was answered, whichever client asked."""
        return isinstance(other, Campaign) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def wait(self, *, on_event: "Callable[[Event], object] | None" = None, progress: bool = False) -> "Campaign":
        """As it is once it has ended; see `client.campaigns.wait`."""
        if self._campaigns is None:
            raise ValueError("This campaign was read by no client: take one that `client.campaigns` answers.")
        return self._campaigns.wait(self.id, on_event=on_event, progress=progress)


class Event(Model):
    id: str
    campaign_id: UUID
    kind: str
    subject_id: UUID | None
    payload: dict[str, Any]
    created_at: datetime


class ApiKey(Model):
    id: UUID
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewApiKey(ApiKey):
    token: str
    """The key itself; no later answer has it."""


class Health(Model):
    status: str
    version: str


class Readiness(Model):
    status: str
    """ready, degraded (the broker is away: work waits in the database) or unavailable."""
    database: str
    schema_revision: str | None
    broker: str
    jail: str | None = None
    """The weakest lock of all gate workers that are there; None while there is none."""


class LossInput(Model):
    name: str
    role: str
    shape: str
    is_integer: bool
    meaning: str


class LossFamily(Model):
    name: str
    inputs: list[LossInput]
    library: list[str]


class Arena(Model):
    name: str
    """As a campaign names it; `NAME@VERSION` of an operator's, whose NAME is enough."""
    kind: str
    family: str
    summary: str | None
    offers: list[str] | None
    """The ways to beat the family's reference loss in it; None where nobody knows."""
    is_control: bool | None
    reward: str | None
    """What an answer is worth; None where nobody knows."""
    counts: str
    """The metric by which losses are compared in it."""
    content_sha256: str
    document: dict[str, Any]
    calibration: dict[str, Any] | None


class Neighbour(Model):
    name: str
    cosine: float
    beta_shift: float
    beta: float | None = None
    """Of the neighbour, where a loss without one of its own is like it at that beta alone."""
    is_twin: bool
    is_near: bool


class KnownLoss(Model):
    name: str
    family: str
    title: str
    paper: str
    defaults: str
    differs: str
    source: str
    formula: str | None
    graph_sha256: str
    passport: dict[str, Any]
    sentences: list[str]
    neighbours: list[Neighbour]


class Refusal(Model):
    code: str
    message: str
    line: int | None


class Check(Model):
    """What the gate says of a source."""

    status: str
    """accepted, refused or unavailable (no jail could be locked)."""
    code: str | None
    message: str | None
    line: int | None
    refusals: list[Refusal]
    name: str | None
    graph_sha256: str | None
    formula: str | None
    graph_text: str | None
    passport: dict[str, Any] | None
    neighbours: list[Neighbour]
    isolation: str | None


class EvaluationSetting(Model):
    beta: float
    learning_rate: float
    steps: int


class EvaluationFailure(Model):
    """The candidate's doing."""

    code: str
    """diverged, non_finite, memory, refused or time."""
    message: str
    step: int | None


class Evaluation(Model):
    id: UUID
    campaign_id: UUID
    candidate_id: UUID
    arena: str
    base_policy: int
    setting: EvaluationSetting
    purpose: str
    draw: str
    salt: str
    status: str
    attempt: int
    crashes: int
    """Of the attempts since somebody last asked for a retry; a lost worker is none."""
    failure: EvaluationFailure | None
    measurement_id: UUID | None
    is_reused: bool
    """It had been measured before, and was charged as if it had not."""
    device_seconds: float | None
    metrics: dict[str, float | None] | None
    series: dict[str, list[float | None]] | None
    """A value for each step; of a failed training, up to where it ended."""
    build: dict[str, Any] | None
    """What computed: versions of torch and transformers, device and its model."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Standing(Model):
    candidate_id: UUID
    name: str
    author: str
    arena: str
    stage: str
    extension: int
    setting: EvaluationSetting
    draws: int
    difference: float | None
    """Less the reference at its own best, of a confirmation at the hardest of its settings; None of the reference,
    before all is measured, and where one of both has failed."""
    lower: float | None
    upper: float | None
    verdict: str | None
    """Of a confirmed finalist; a screen has none."""
    figures: dict[str, Any]
    updated_at: datetime


class Finalist(Model):
    candidate_id: UUID
    name: str
    author: str
    role: str
    """finalist, or reference: one of those it is compared with."""
    rank: int
    """0 for the setting that tuning chose; a reference has others beside it."""
    setting: EvaluationSetting


class Freeze(Model):
    arena: str
    extension: int
    plan: dict[str, Any]
    finalists: list[Finalist]
    digest: str | None
    sealed_at: datetime | None


class Standings(Model):
    against: str
    """The reference of its family, that all are compared with."""
    screen: list[Standing]
    """The highest lower bound first, arena by arena."""
    confirm: list[Standing]
    freezes: list[Freeze]


class Mean(Model):
    mean: float
    low: float | None
    """Of its own 95 %; None of one draw."""
    high: float | None
    draws: int


class Device(Model):
    kind: str
    """cpu or cuda."""
    card: str | None
    model: str | None


class Worker(Model):
    id: UUID
    name: str
    state: str
    """live, lost (not seen for a minute) or stopped."""
    queues: list[str]
    slots: int
    devices: list[Device]
    """One for each slot that trains."""
    isolation: str | None
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime


class Listed(Model, Generic[Item]):
    """A list that comes whole."""

    data: list[Item]

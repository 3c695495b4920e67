"""What the API answers of rounds, with all that came of them, and of plans."""

from datetime import datetime
from typing import Any
from uuid import UUID

from discovery_service.client.models import EvaluationFailure, EvaluationSetting, Model


class Order(Model):
    """In what a round differs from its campaign's spec; None is as there."""

    size: int | None
    proposer: str | None
    guidance: str | None


class Exchange(Model):
    """A question and its answer."""

    id: UUID
    turn: int
    """0 is the question, 1 and 2 are corrections."""
    status: str
    model: str | None
    """Whom to ask, as the spec names it."""
    answered_by: str | None
    """As its endpoint calls it."""
    prompt_version: str | None
    messages: list[dict[str, Any]]
    reply: str | None
    tokens_in: int | None
    tokens_out: int | None
    """While it is asked, the most that it can come to."""
    cost_usd: float | None
    """None where the model's price is not known."""
    failure: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None


class StandingShort(Model):
    """How a loss stands to its family's reference in the arena of the search."""

    extension: int
    setting: EvaluationSetting
    draws: int
    difference: float | None
    lower: float | None
    upper: float | None
    verdict: str | None


class EvaluationShort(Model):
    """One training; `client.evaluations.read` has what it measured."""

    id: UUID
    arena: str
    purpose: str
    setting: EvaluationSetting
    base_policy: int
    draw: str
    status: str
    failure: EvaluationFailure | None


class Candidate(Model):
    id: UUID
    turn: int
    name: str
    author: str
    status: str
    source: str
    formula: str | None
    refusal: dict[str, Any] | None
    """The first one's code, message and line, and all of them."""
    twin: dict[str, Any] | None
    screen: StandingShort | None
    confirm: StandingShort | None
    evaluations: list[EvaluationShort]
    """In every arena, that of the search first, by purpose, setting, base policy and draw."""


class Proposal(Model):
    """A place in a round."""

    id: UUID
    campaign_id: UUID
    round_id: UUID
    round: int
    slot: int
    proposer: str
    status: str
    """A person's is queued until its round opens."""
    request: dict[str, Any]
    outcome: dict[str, Any] | None
    """Its author's thought, or why nothing came of it."""
    exchanges: list[Exchange]
    candidates: list[Candidate]
    created_at: datetime


class Round(Model):
    id: UUID
    campaign_id: UUID
    number: int
    """0 is the library's."""
    status: str
    snapshot_rounds: list[int]
    """The closed rounds that it sees."""
    stopped_slots: list[int] | None
    ordered: Order | None
    """How a person wanted it."""
    by_status: dict[str, int]
    """How many proposals stand so."""
    by_proposer: dict[str, int]
    created_at: datetime
    closed_at: datetime | None


class RoundDetail(Round):
    proposals: list[Proposal]


class PlannedEvaluations(Model):
    library: int
    search: int
    confirmation: int
    held_out: int
    total: int


class PlannedCalls(Model):
    tokens: int
    cost_usd: float | None
    """None where a model's price is not known."""


class PlannedConfirmation(Model):
    arena: str
    is_held_out: bool
    draws: int
    detect: float
    detectable: float | None
    """The smallest difference that so many draws find with 80 % power."""
    sd: float | None
    sd_source: str
    training_s: float | None
    """Of one training on one core; None where nobody has told."""


class Plan(Model):
    """What a campaign would take."""

    proposals: int
    rounds: int
    evaluations: PlannedEvaluations
    core_seconds: float | None
    typical: PlannedCalls
    worst: PlannedCalls
    confirmations: list[PlannedConfirmation]
    binds_first: str | None
    """The budget that ends the search; None if not even the library fits."""
    notes: list[str]

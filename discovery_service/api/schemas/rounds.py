"""Rounds over the wire: what was asked of whom, what was answered, and what came of it."""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from discovery_service.api.schemas.evaluations import FailureRead, SettingRead
from discovery_service.api.schemas.losses import OPEN_HYPERPARAMETERS, Hyperparameters
from discovery_service.db.rounds import MadeCandidate, MadeEvaluation, MadeProposal, MadeRound
from discovery_service.db.tables import Standing
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Guidance, Name, Notes, Strict, Text, example
from discovery_service.domain.orders import Order
from discovery_service.domain.states import (
    CandidateStatus,
    EvaluationStatus,
    ExchangeStatus,
    ProposalStatus,
    Purpose,
    RoundStatus,
)
from discovery_service.engine.by_hand import Sent

_ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"
_AT = "2026-11-21T10:00:00Z"
_SOURCE = "def softened(policy_chosen_logps, policy_rejected_logps, beta):\n    …\n"
MAX_SOURCE = 100_000
"""Characters; a loss is one short function."""


class CandidateCreate(Strict):
    """A person's loss for a campaign. It passes the gate like any other; a published one is taken as it is."""

    model_config = example(name="softened", source=_SOURCE, notes="DPO with a softer tail.")

    name: Name | None = Field(default=None, description="Else that of the source's function.")
    source: Text = Field(min_length=1, max_length=MAX_SOURCE)
    notes: Notes = Field(default="", description="What you thought; language models that see the loss read it.")
    hyperparameters: Hyperparameters = Field(default={}, description=OPEN_HYPERPARAMETERS)

    def sent(self) -> Sent:
        return Sent(self.name, self.source, self.notes, self.hyperparameters)


_ORDER: dict[str, Any] = {"size": 6, "proposer": "symbolic", "guidance": "Try something with a margin."}


class RoundCreate(Strict):
    """In what the round differs from the campaign's spec; an absent field is as there."""

    model_config = example(**_ORDER)

    size: int | None = Field(default=None, ge=1, le=64, description="Its places, in which people's losses come first.")
    proposer: Literal["llm", "recorded", "symbolic"] | None = Field(
        default=None, description="Who alone proposes in it; one of the spec's."
    )
    guidance: Guidance | None = Field(
        default=None, description="Instead of the campaign's in the prompts of this round."
    )

    def order(self) -> Order:
        return Order(self.size, self.proposer, self.guidance)


class OrderRead(BaseModel):
    model_config = example(**_ORDER)

    size: int | None
    proposer: str | None
    guidance: str | None


_EXCHANGE: dict[str, Any] = {
    "id": _ID,
    "turn": 0,
    "status": "answered",
    "model": "fast",
    "answered_by": "gpt-5-mini-2025-08-07",
    "prompt_version": "1",
    "messages": [{"role": "user", "content": "Propose a loss."}],
    "reply": '{"thought": "A softer tail.", "name": "softened", "code": "def softened(…): …"}',
    "tokens_in": 3120,
    "tokens_out": 640,
    "cost_usd": 0.0021,
    "failure": {"code": "no_code", "message": "The reply holds no function."},
    "started_at": _AT,
    "finished_at": _AT,
}


class ExchangeRead(BaseModel):
    model_config = example(**_EXCHANGE)

    id: UUID
    turn: int = Field(description="0 is the question, 1 and 2 are corrections.")
    status: ExchangeStatus
    model: str | None = Field(description="Whom to ask, as the spec names it; only of a language model.")
    answered_by: str | None = Field(description="As its endpoint calls it; of a recording `recorded/ARENA`.")
    prompt_version: str | None
    messages: list[dict[str, Any]] = Field(description="As they were sent; none to the symbolic proposer.")
    reply: str | None
    tokens_in: int | None
    tokens_out: int | None = Field(description="While it is asked, the most that it can come to.")
    cost_usd: float | None = Field(description="Null where the model's price is not known.")
    failure: dict[str, Any] | None = Field(description="Why there is no answer, or no loss in it.")
    started_at: datetime | None
    finished_at: datetime | None


_SHORT: dict[str, Any] = {
    "extension": 0,
    "setting": {"beta": 1.0, "learning_rate": 0.0015, "steps": 120},
    "draws": 12,
    "difference": 0.41,
    "lower": 0.22,
    "upper": 0.6,
    "verdict": "better than",
}
_EVALUATION: dict[str, Any] = {
    "id": _ID,
    "arena": "panel:mini",
    "purpose": "screen",
    "setting": {"beta": 1.0, "learning_rate": 0.0015, "steps": 120},
    "base_policy": 0,
    "draw": "2",
    "status": "failed",
    "failure": {"code": "non_finite", "message": "The loss is inf at step 40 of 120.", "step": 40},
}
_REFUSAL = {"code": "unknown_input", "message": "There is no input `margins`.", "line": 1}
_CANDIDATE: dict[str, Any] = {
    "id": _ID,
    "turn": 0,
    "name": "softened",
    "author": "llm",
    "status": "accepted",
    "source": _SOURCE,
    "formula": "-log p(z)",
    "refusal": _REFUSAL,
    "twin": {"name": "robust_dpo", "cosine": 0.997, "library": "robust_dpo"},
    "screen": _SHORT,
    "confirm": _SHORT,
    "evaluations": [_EVALUATION],
}


class StandingShort(BaseModel):
    """How it stands to the family's reference loss in the arena of the search."""

    model_config = example(**_SHORT)

    extension: int
    setting: SettingRead
    draws: int
    difference: float | None
    lower: float | None = Field(description="Of its interval; no difference stands without one.")
    upper: float | None
    verdict: str | None = Field(description="Of a confirmed finalist; a screen has none.")

    @classmethod
    def of(cls, standing: Standing | None) -> "StandingShort | None":
        if standing is None:
            return None
        return cls.model_validate({name: getattr(standing, name) for name in cls.model_fields})


class EvaluationShort(BaseModel):
    """One training; what it measured is that of `GET /v1/evaluations/{id}`."""

    model_config = example(**_EVALUATION)

    id: UUID
    arena: str
    purpose: Purpose
    setting: SettingRead
    base_policy: int
    draw: str
    status: EvaluationStatus
    failure: FailureRead | None

    @classmethod
    def of(cls, made: MadeEvaluation) -> "EvaluationShort":
        columns = {name: getattr(made.row, name) for name in cls.model_fields if hasattr(made.row, name)}
        failure = made.row.failure and {"step": None, **made.row.failure}
        return cls.model_validate({**columns, "arena": made.arena, "failure": failure})


class CandidateRead(BaseModel):
    model_config = example(**_CANDIDATE)

    id: UUID
    turn: int = Field(description="Of the exchange whose reply it is.")
    name: str
    author: Author
    status: CandidateStatus
    source: str = Field(description="As it was sent.")
    formula: str | None
    refusal: dict[str, Any] | None = Field(description="The first one's code, message and line, and all of them.")
    twin: dict[str, Any] | None = Field(description="The nearest loss that it behaves like; `library`: the known one.")
    screen: StandingShort | None
    confirm: StandingShort | None = Field(description="Of the last whole confirmation, else of the last begun.")
    evaluations: list[EvaluationShort] = Field(
        description="In every arena, that of the search first, by purpose, setting, base policy and draw."
    )

    @classmethod
    def of(cls, made: MadeCandidate) -> "CandidateRead":
        columns = {name: getattr(made.row, name) for name in cls.model_fields if hasattr(made.row, name)}
        stages = {"screen": StandingShort.of(made.screen), "confirm": StandingShort.of(made.confirm)}
        evaluations = [EvaluationShort.of(each) for each in made.evaluations]
        return cls.model_validate({**columns, **stages, "evaluations": evaluations})


_PROPOSAL: dict[str, Any] = {
    "id": _ID,
    "campaign_id": _ID,
    "round_id": _ID,
    "round": 1,
    "slot": 0,
    "proposer": "llm",
    "status": "answered",
    "request": {"kind": "improve", "parents": [[0, 0, 0]], "inspirations": []},
    "outcome": {"thought": "A softer tail."},
    "exchanges": [_EXCHANGE],
    "candidates": [_CANDIDATE],
    "created_at": _AT,
}


class ProposalRead(BaseModel):
    model_config = example(**_PROPOSAL)

    id: UUID
    campaign_id: UUID
    round_id: UUID
    round: int
    slot: int
    proposer: Author
    status: ProposalStatus = Field(description="A person's is queued until its round opens.")
    request: dict[str, Any] = Field(description="What the strategy asked for; of a person's what was sent.")
    outcome: dict[str, Any] | None = Field(description="Its author's thought, or why nothing came of it.")
    exchanges: list[ExchangeRead]
    candidates: list[CandidateRead]
    created_at: datetime

    @classmethod
    def of(cls, made: MadeProposal) -> "ProposalRead":
        return cls.model_validate(
            {
                **{name: getattr(made.row, name) for name in cls.model_fields if hasattr(made.row, name)},
                "campaign_id": made.made_in.campaign_id,
                "round": made.made_in.number,
                "exchanges": [_read_exchange(each) for each in made.exchanges],
                "candidates": [CandidateRead.of(each) for each in made.candidates],
            }
        )


def _read_exchange(row: Any) -> dict[str, Any]:
    columns = {name: getattr(row, name) for name in ExchangeRead.model_fields}
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in columns.items()}


_ROUND: dict[str, Any] = {
    "id": _ID,
    "campaign_id": _ID,
    "number": 1,
    "status": "closed",
    "snapshot_rounds": [0],
    "stopped_slots": [1, 3],
    "ordered": _ORDER,
    "by_status": {"answered": 3, "unparsable": 1},
    "by_proposer": {"llm": 3, "human": 1},
    "created_at": _AT,
    "closed_at": _AT,
}


class RoundRead(BaseModel):
    model_config = example(**_ROUND)

    id: UUID
    campaign_id: UUID
    number: int = Field(description="0 is the library's.")
    status: RoundStatus
    snapshot_rounds: list[int] = Field(description="The closed rounds that it sees; none before it is opened.")
    stopped_slots: list[int] | None = Field(description="Whom halving has stopped; null before it.")
    ordered: OrderRead | None = Field(description="How a person wanted it; null of any other.")
    by_status: dict[ProposalStatus, int] = Field(description="How many proposals stand so.")
    by_proposer: dict[Author, int] = Field(description="How many proposals are whose.")
    created_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, made: MadeRound) -> "RoundRead":
        return cls.model_validate(_read_round(made))


class RoundDetail(RoundRead):
    """With all that came of it."""

    model_config = example(**_ROUND, proposals=[_PROPOSAL])

    proposals: list[ProposalRead]

    @classmethod
    def of(cls, made: MadeRound) -> "RoundDetail":
        return cls.model_validate(
            {**_read_round(made), "proposals": [ProposalRead.of(each) for each in made.proposals]}
        )


def _read_round(made: MadeRound) -> dict[str, Any]:
    columns = {name: getattr(made.row, name) for name in RoundRead.model_fields if hasattr(made.row, name)}
    return {
        **columns,
        "by_status": Counter(each.row.status for each in made.proposals),
        "by_proposer": Counter(each.row.proposer for each in made.proposals),
    }

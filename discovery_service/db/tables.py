"""The tables in pipeline order; reading them top to bottom is the flow of data.

Campaign → Round → Proposal (Exchange) → Candidate → Evaluation (Measurement) → Standing; then what serves them all.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    Numeric,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.orm import Mapped, mapped_column, relationship

from discovery_service.db.columns import Base, Keyed, Work, rung_index
from discovery_service.domain.authors import Author
from discovery_service.domain.states import (
    CampaignStatus,
    CandidateStatus,
    EvaluationStatus,
    ExchangeStatus,
    ProposalStatus,
    Purpose,
    RoundStatus,
)


class ApiKey(Keyed, Base):
    """A bearer key: only its HMAC is stored; prefix and last four characters are for people to recognise it."""

    __tablename__ = "api_key"

    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    prefix: Mapped[str]
    last_four: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class Campaign(Keyed, Base):
    """A search. The spec changes only by a user's edit; what happens to it lives in `campaign_progress`."""

    __tablename__ = "campaign"
    __table_args__ = (Index("ix_campaign_created_at_id", "created_at", "id"),)

    name: Mapped[str]
    notes: Mapped[str] = mapped_column(server_default="")
    spec: Mapped[dict[str, Any]]
    status: Mapped[CampaignStatus] = mapped_column(index=True, server_default=CampaignStatus.QUEUED.value)
    status_reason: Mapped[str | None]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("api_key.id"))
    cloned_from: Mapped[UUID | None] = mapped_column(ForeignKey("campaign.id"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    extension: Mapped[int] = mapped_column(server_default="0")
    """How often it was extended; each extension has freezes of its own."""

    progress: Mapped["CampaignProgress"] = relationship(lazy="raise")


class CampaignProgress(Base):
    """Spend and counts of a campaign, kept apart so that a busy counter never touches the spec's row."""

    __tablename__ = "campaign_progress"

    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    rounds_closed: Mapped[int] = mapped_column(server_default="0")
    candidates: Mapped[int] = mapped_column(server_default="0")
    evaluations: Mapped[int] = mapped_column(server_default="0")
    tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cost_usd: Mapped[Decimal] = mapped_column(Numeric(14, 6), server_default="0")
    device_seconds: Mapped[float] = mapped_column(server_default="0")
    best: Mapped[dict[str, Any] | None]
    """The highest lower bound in the search arena: of what is screened so far, at the end of the finalists."""
    search_over_at: Mapped[datetime | None]
    """Since when nobody proposes any more. Whoever ends the search writes it; nothing is frozen before."""


class Round(Keyed, Base):
    """Proposals made from one snapshot of the archive: the set of rounds that were closed when it was taken."""

    __tablename__ = "round"
    __table_args__ = (UniqueConstraint("campaign_id", "number"),)

    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaign.id"))
    number: Mapped[int]
    status: Mapped[RoundStatus] = mapped_column(index=True, server_default=RoundStatus.PROPOSING.value)
    snapshot_rounds: Mapped[list[int]] = mapped_column(JSONB, server_default="[]")
    ordered: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """By a person, how it is to differ from what the spec says: size, proposer, guidance. Null of any other round."""
    stopped_slots: Mapped[list[int] | None] = mapped_column(JSONB(none_as_null=True))
    """Whose candidates the round's halving has stopped. Null before it; then it is final."""
    closed_at: Mapped[datetime | None]


CUT = "cut"
"""In a proposal's outcome, with the reason: a budget of time ended the search before its loss was screened."""

NOT_BEGUN = "not_begun"
"""The code of an outcome: it waited in vain for its round, and counts nowhere."""


class Proposal(Keyed, Base):
    """A slot in a round that is to become a candidate."""

    __tablename__ = "proposal"
    __table_args__ = (UniqueConstraint("round_id", "slot"),)

    round_id: Mapped[UUID] = mapped_column(ForeignKey("round.id"))
    slot: Mapped[int]
    proposer: Mapped[str]
    status: Mapped[ProposalStatus] = mapped_column(index=True, server_default=ProposalStatus.QUEUED.value)
    request: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """What the strategy asked for: parents, inspirations, kind; of a person's what was sent: name, source, notes."""
    outcome: Mapped[dict[str, Any] | None]


class Exchange(Keyed, Work, Base):
    """One prompt and one reply within a proposal; turn 0, then repairs. Its row is written before the call."""

    __tablename__ = "exchange"
    __table_args__ = (UniqueConstraint("proposal_id", "turn"), rung_index("exchange", ExchangeStatus.QUEUED))

    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("proposal.id"))
    turn: Mapped[int]
    status: Mapped[ExchangeStatus] = mapped_column(index=True, server_default=ExchangeStatus.QUEUED.value)
    model: Mapped[str | None]
    """Whom to ask, as the campaign's spec names it: a profile, or a model at the operator's endpoint."""
    answered_by: Mapped[str | None]
    """The model that did answer, by its endpoint's own account; of a recording, whose."""
    prompt_version: Mapped[str | None]
    messages: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    reply: Mapped[str | None]
    tokens_in: Mapped[int | None]
    tokens_out: Mapped[int | None]
    reserved_tokens: Mapped[int | None]
    """What its next call may cost at most; None where nothing is charged."""
    reserved_usd: Mapped[Decimal | None] = mapped_column(Numeric(14, 6))
    cost_usd: Mapped[Decimal | None] = mapped_column(Numeric(14, 6))
    failure: Mapped[dict[str, Any] | None]
    not_before: Mapped[datetime | None]
    """Until when its endpoint wants to be left alone, where it said so."""
    deferrals: Mapped[int] = mapped_column(server_default="0")
    """Attempts that such a wait followed and that cost nothing: none of them says that the endpoint will not answer."""


class Candidate(Keyed, Work, Base):
    """A loss: its source, and what the gate made of it, or why the gate refused it."""

    __tablename__ = "candidate"
    __table_args__ = (UniqueConstraint("proposal_id", "turn"), rung_index("candidate", CandidateStatus.PROPOSED))

    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("proposal.id"))
    turn: Mapped[int]
    name: Mapped[str]
    author: Mapped[Author]
    status: Mapped[CandidateStatus] = mapped_column(index=True, server_default=CandidateStatus.PROPOSED.value)
    source: Mapped[str]
    source_sha256: Mapped[str]
    values: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """Hyper-parameters that the reply gave numbers for, beside the source."""
    graph: Mapped[dict[str, Any] | None]
    graph_sha256: Mapped[str | None] = mapped_column(index=True)
    torch_version: Mapped[str | None]
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)
    fingerprint_version: Mapped[int | None]
    """Only fingerprints of one version can be compared."""
    passport: Mapped[dict[str, Any] | None]
    formula: Mapped[str | None]
    readable_source: Mapped[str | None]
    check_vectors: Mapped[dict[str, Any] | None]
    twin: Mapped[dict[str, Any] | None]
    """The nearest loss that it behaves like, and under `library` the known loss that it does, if any."""
    neighbours: Mapped[list[Any] | None]
    """The known losses nearest to it, each with its cosine."""
    refusal: Mapped[dict[str, Any] | None]
    isolation: Mapped[dict[str, Any] | None]
    """How well the jail was locked that judged it."""


class Lineage(Base):
    """Which candidates stood in the prompt, or under the knife, when another one was made."""

    __tablename__ = "lineage"
    __table_args__ = (
        CheckConstraint("role IN ('parent', 'inspiration')", name="role_known"),
        Index("ix_lineage_parent_id", "parent_id"),
    )

    child_id: Mapped[UUID] = mapped_column(ForeignKey("candidate.id"), primary_key=True)
    parent_id: Mapped[UUID] = mapped_column(ForeignKey("candidate.id"), primary_key=True)
    role: Mapped[str]


class Arena(Keyed, Base):
    """One version of an arena by content, with its calibration. A changed arena is another row."""

    __tablename__ = "arena"
    __table_args__ = (UniqueConstraint("name", "content_sha256"),)

    name: Mapped[str]
    content_sha256: Mapped[str]
    family: Mapped[str]
    spec: Mapped[dict[str, Any]]
    calibration: Mapped[dict[str, Any] | None]
    registered_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """The last time: a name means the version that was registered last, which may be an earlier one again."""


class Freeze(Keyed, Base):
    """The moment at which finalists and references of one arena are fixed; an extension gets its own."""

    __tablename__ = "freeze"
    __table_args__ = (UniqueConstraint("campaign_id", "arena_id", "extension"), UniqueConstraint("id", "arena_id"))

    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaign.id"))
    arena_id: Mapped[UUID] = mapped_column(ForeignKey("arena.id"))
    extension: Mapped[int] = mapped_column(server_default="0")
    plan: Mapped[dict[str, Any]]
    """Number of draws, level, base policies: everything the confirmation will use."""


class Finalist(Base):
    """A loss at a setting, as it will be confirmed; a reference is one of those it is compared with.

    DPO is a reference at each setting between which its tuning chose; a finalist is one at a single setting.
    """

    __tablename__ = "finalist"
    __table_args__ = (
        CheckConstraint("role IN ('finalist', 'reference')", name="role_known"),
        CheckConstraint("rank = 0 OR (rank > 0 AND role = 'reference')", name="rank_of_reference"),
        UniqueConstraint("freeze_id", "candidate_id", "setting"),
    )

    freeze_id: Mapped[UUID] = mapped_column(ForeignKey("freeze.id"), primary_key=True)
    candidate_id: Mapped[UUID] = mapped_column(ForeignKey("candidate.id"), primary_key=True, index=True)
    rank: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, server_default="0")
    """Among its settings; the one that its tuning chose has 0."""
    role: Mapped[str]
    setting: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Seal(Base):
    """Closes a freeze: after it a trigger refuses finalists, and only with it a confirming evaluation can exist."""

    __tablename__ = "seal"

    freeze_id: Mapped[UUID] = mapped_column(ForeignKey("freeze.id"), primary_key=True)
    digest: Mapped[str]
    """Of finalists, references and settings; confirm draws are keyed by it."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Evaluation(Keyed, Work, Base):
    """The job: one candidate, arena, base policy, setting and draw, for one purpose."""

    __tablename__ = "evaluation"
    __table_args__ = (
        UniqueConstraint(
            *("candidate_id", "arena_id", "base_policy", "setting_sha256", "purpose", "draw", "salt"),
            name="uq_evaluation_natural_key",
        ),
        CheckConstraint("(purpose = 'confirm') = (seal_id IS NOT NULL)", name="confirm_is_sealed"),
        CheckConstraint("(status = 'succeeded') = (measurement_id IS NOT NULL)", name="success_is_measured"),
        # A seal has its freeze's id: what is confirmed is one of its finalists or references, at the setting with
        # which that was frozen, in its arena.
        ForeignKeyConstraint(
            ["seal_id", "candidate_id", "setting"],
            ["finalist.freeze_id", "finalist.candidate_id", "finalist.setting"],
        ),
        ForeignKeyConstraint(["seal_id", "arena_id"], ["freeze.id", "freeze.arena_id"]),
        # By what is trained: the natural key goes by the hash of the setting, which whoever writes the row says.
        Index(
            "uq_evaluation_confirmed_once",
            *("seal_id", "candidate_id", "setting", "base_policy", "draw"),
            unique=True,
            postgresql_where=text("seal_id IS NOT NULL"),
        ),
        rung_index("evaluation", EvaluationStatus.QUEUED),
    )

    candidate_id: Mapped[UUID] = mapped_column(ForeignKey("candidate.id"))
    arena_id: Mapped[UUID] = mapped_column(ForeignKey("arena.id"))
    base_policy: Mapped[int]
    setting: Mapped[dict[str, Any]]
    setting_sha256: Mapped[str]
    purpose: Mapped[Purpose]
    draw: Mapped[str]
    salt: Mapped[str] = mapped_column(server_default="")
    seal_id: Mapped[UUID | None] = mapped_column(ForeignKey("seal.freeze_id"), index=True)
    status: Mapped[EvaluationStatus] = mapped_column(index=True, server_default=EvaluationStatus.QUEUED.value)
    failure: Mapped[dict[str, Any] | None]
    measurement_id: Mapped[UUID | None] = mapped_column(ForeignKey("measurement.id"), index=True)
    is_reused: Mapped[bool] = mapped_column(server_default=text("false"))
    device_seconds: Mapped[float | None]


class Measurement(Keyed, Base):
    """One training, immutable. The same key never trains twice: evaluations point at the row that is there."""

    __tablename__ = "measurement"

    key_sha256: Mapped[str] = mapped_column(unique=True)
    key: Mapped[dict[str, Any]]
    """Graph, arena, base policy, setting, purpose, draw, salt, build, device kind and model."""
    graph_sha256: Mapped[str] = mapped_column(index=True)
    arena_id: Mapped[UUID] = mapped_column(ForeignKey("arena.id"), index=True)
    metrics: Mapped[dict[str, Any]]
    series: Mapped[dict[str, Any]]
    device_seconds: Mapped[float]


class Standing(Base):
    """A candidate's derived score; a projection of measurements that one command rebuilds."""

    __tablename__ = "standing"
    __table_args__ = (
        Index("ix_standing_rank", "campaign_id", "arena_id", "stage", text("lower DESC NULLS LAST")),
        Index("ix_standing_board", "arena_id", "stage", text("lower DESC NULLS LAST")),
    )

    candidate_id: Mapped[UUID] = mapped_column(ForeignKey("candidate.id"), primary_key=True)
    arena_id: Mapped[UUID] = mapped_column(ForeignKey("arena.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    extension: Mapped[int] = mapped_column(primary_key=True, server_default="0")
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaign.id"))
    setting: Mapped[dict[str, Any]]
    draws: Mapped[int]
    difference: Mapped[float | None]
    lower: Mapped[float | None]
    upper: Mapped[float | None]
    verdict: Mapped[str | None]
    figures: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Event(Base):
    """What happened, written in the transaction of what it tells; read in (xid, id) order below the snapshot's xmin."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_campaign_id_xid_id", "campaign_id", "xid", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    xid: Mapped[int] = mapped_column(BigInteger, server_default=text("(pg_current_xact_id()::text)::bigint"))
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaign.id"))
    kind: Mapped[str]
    subject_id: Mapped[UUID | None]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class GateCheck(Keyed, Base):
    """A dry run through the gate that somebody waits for; answered by NOTIFY, kept for an hour."""

    __tablename__ = "gate_check"

    family: Mapped[str]
    source: Mapped[str]
    values: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """Of hyper-parameters that have none in the source."""
    answer: Mapped[dict[str, Any] | None]
    answered_at: Mapped[datetime | None]


class Worker(Keyed, Base):
    """One incarnation of a worker process. Its leases are freed when the next incarnation of the name starts."""

    __tablename__ = "worker"
    __table_args__ = (Index("ix_worker_living_name", "name", unique=True, postgresql_where=text("stopped_at IS NULL")),)

    name: Mapped[str]
    queues: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    slots: Mapped[int]
    host: Mapped[str]
    pid: Mapped[int]
    devices: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    isolation: Mapped[str | None]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_since: Mapped[datetime] = mapped_column(server_default=func.now())
    """Since when it has been seen without a gap."""
    stopped_at: Mapped[datetime | None]


class Idempotency(Base):
    """The answer to a creating request, for the client that sends it again under the same key."""

    __tablename__ = "idempotency"

    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_key.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    location: Mapped[str | None]
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)

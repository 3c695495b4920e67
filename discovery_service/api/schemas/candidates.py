"""One loss over the wire: where it is from, what the gate found, how it stands, what it cost; its source and curve."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from discovery_service.api.highlighting import highlight_python
from discovery_service.api.schemas.leaderboard import CostRead, ScoreRead
from discovery_service.api.schemas.losses import NeighbourRead, RefusalRead
from discovery_service.db.candidates import CandidateDetail, Stood
from discovery_service.db.leaderboard import Scored, list_known_as
from discovery_service.db.tables import Candidate
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import example
from discovery_service.domain.families import PAIRS, Family
from discovery_service.domain.isolation import Level
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.states import CandidateStatus, Purpose
from discovery_service.losses.described import list_described
from discovery_service.losses.passport import describe_passport

MOST_SOURCE = 8_000
"""Characters of a source that stand in the resource itself, which lists of pages read; `/source` has all of any."""
_CURVE = "curve"
"""In a stored passport; it has a route of its own."""

_ID = "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e"
_AT = "2026-11-21T10:00:00Z"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SOURCE = "def softened(policy_chosen_logps, policy_rejected_logps, beta, tau=0.5):\n    …\n"
_HYPERPARAMETER: dict[str, Any] = {"name": "tau", "value": 0.5, "is_structural": False}
_ISOLATION: dict[str, Any] = {"level": "seccomp", "reason": "The kernel has no Landlock."}
_NEIGHBOUR: dict[str, Any] = {
    **{"name": "robust_dpo", "cosine": 0.997, "beta_shift": 1.0},
    **{"is_twin": True, "is_near": False, "is_outside": True},
}
_MEAN = {"mean": 0.41, "low": 0.22, "high": 0.6, "draws": 12}
_AGAINST: dict[str, Any] = {
    **{"name": "simpo", "difference": 0.08, "lower": -0.05, "upper": 0.21},
    **{"level": 0.95, "verdict": "not distinguishable from"},
}
_STANDING: dict[str, Any] = {
    **{"arena": "panel:mini", "is_search": True, "extension": 0},
    "setting": {"beta": 1.0, "learning_rate": 0.0015, "steps": 120},
    **{"draws": 12, "base_policies": [0, 1, 2]},
    **{"difference": 0.41, "lower": 0.22, "upper": 0.6, "level": 0.95},
    **{"verdict": "better than", "against": [_AGAINST]},
    **{"attained": _MEAN, "reward": _MEAN, "kl": _MEAN, "metrics": {"disagreement": _MEAN}, "failed": 0},
}
_COST = {"evaluations": 22, "device_seconds": 29.7, "tokens": 1850, "cost_usd": 0.011}


class HyperparameterRead(BaseModel):
    model_config = example(**_HYPERPARAMETER)

    name: str
    value: float
    is_structural: bool = Field(description="Its value is compiled in; another one needs another graph.")


class IsolationRead(BaseModel):
    """How well the jail was locked that judged it."""

    model_config = example(**_ISOLATION)

    level: Level
    reason: str | None = Field(description="Why it is not full.")


class CandidateNeighbourRead(NeighbourRead):
    """A loss that it behaves like, known or of its campaign."""

    model_config = example(**_NEIGHBOUR)

    is_outside: bool = Field(description="A known loss that is not in its campaign's library.")


class CandidateStandingRead(ScoreRead):
    """How it stands in one arena."""

    model_config = example(**_STANDING)

    arena: str
    is_search: bool = Field(description="It is the arena of its campaign's search; else a held-out one.")

    @classmethod
    def of_stood(cls, stood: Stood, against: str) -> "CandidateStandingRead":
        score = ScoreRead.of(Scored.of(stood.standing, stood.policies), against)
        where = {"arena": stood.arena, "is_search": stood.is_search}
        return cls.model_validate(score.model_dump() | where)


class CandidateDetailRead(BaseModel):
    """A loss. What a refused one never had is null or empty."""

    model_config = example(
        id=_ID,
        campaign_id=_ID,
        campaign="first look",
        family="pairwise",
        proposal_id=_ID,
        round_id=_ID,
        round=3,
        slot=1,
        turn=0,
        name="softened",
        author="llm",
        model="gpt-5-mini-2025-08-07",
        status="accepted",
        is_stopped=False,
        formula="-log p(z)",
        source=_SOURCE,
        readable_source=_SOURCE,
        source_sha256=_SHA256,
        graph_sha256=_SHA256,
        torch_version="2.13.0",
        hyperparameters=[_HYPERPARAMETER],
        values={"tau": 0.5},
        passport={"version": 2, "family": "pairwise", "slope_at_zero": -0.5, "flags": []},
        sentences=["At z = 0 it is 0.693 and falls, with slope -0.5."],
        refusals=[{"code": "unknown_input", "message": "There is no input `margins`.", "line": 1}],
        isolation=_ISOLATION,
        twin={"name": "robust_dpo", "cosine": 0.997, "library": "robust_dpo"},
        neighbours=[_NEIGHBOUR],
        known_as=["robust_dpo"],
        screen=[_STANDING],
        confirm=[_STANDING],
        cost=_COST,
        parents=2,
        children=1,
        created_at=_AT,
        judged_at=_AT,
    )

    id: UUID
    campaign_id: UUID
    campaign: str = Field(description="Its name.")
    family: Family
    proposal_id: UUID = Field(description="What was asked, answered and paid: `GET /v1/proposals/{id}`.")
    round_id: UUID
    round: int = Field(description="0 is the library's.")
    slot: int
    turn: int = Field(description="Of the exchange whose reply it is.")
    name: str
    author: Author
    model: str | None = Field(description="Which language model answered with it, as its endpoint calls it.")
    status: CandidateStatus
    is_stopped: bool = Field(description="By the halving of its round, after its first trainings.")
    formula: str | None
    source: str | None = Field(description=f"As it was sent; null above {MOST_SOURCE} characters, as `/source` has it.")
    readable_source: str | None = Field(description="As the gate writes it; null above as many.")
    source_sha256: str
    graph_sha256: str | None
    torch_version: str | None
    hyperparameters: list[HyperparameterRead] | None = Field(description="At the values that are evaluated.")
    values: dict[str, Any] = Field(description="Those of them that its author gave beside the source.")
    passport: dict[str, Any] | None = Field(description="What the probes found; `/curve` has the points.")
    sentences: list[str] = Field(description="The passport, in words.")
    refusals: list[RefusalRead] = Field(description="Why the gate refused it; the first one decided.")
    isolation: IsolationRead | None
    twin: dict[str, Any] | None = Field(description="The nearest loss that it behaves like; `library`: the known one.")
    neighbours: list[CandidateNeighbourRead] = Field(
        description="Those nearest to it when it was judged, of its campaign's library and of what its round saw."
    )
    known_as: list[str] = Field(description="The known losses that it behaves like.")
    screen: list[CandidateStandingRead] = Field(description="Which is partly luck, and confirms nothing.")
    confirm: list[CandidateStandingRead] = Field(
        description="Each freeze that it was in, by arena and extension, those of the search first."
    )
    cost: CostRead
    parents: int = Field(description="Losses that it was made from or shown; `/lineage` names them.")
    children: int
    created_at: datetime
    judged_at: datetime | None

    @classmethod
    def of(cls, detail: CandidateDetail) -> "CandidateDetailRead":
        row, place, cost = detail.row, detail.place, detail.cost
        taken = ("source", "readable_source", "passport", "isolation", "twin", "neighbours")
        columns = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name) and name not in taken}
        passport = row.passport and {name: value for name, value in row.passport.items() if name != _CURVE}
        return cls.model_validate(
            {
                **columns,
                "campaign": detail.campaign.name,
                "family": detail.campaign.spec["family"],
                **{"round_id": place.round_id, "round": place.round, "slot": place.slot},
                "is_stopped": place.is_stopped,
                "model": detail.model,
                "source": _short(row.source),
                "readable_source": _short(row.readable_source),
                "hyperparameters": _read_hyperparameters(detail),
                "passport": passport,
                "sentences": describe_passport(passport) if passport else [],
                "refusals": _list_refusals(row),
                "isolation": _read_isolation(row),
                "twin": row.twin,
                "neighbours": [{"is_outside": False, **each} for each in row.neighbours or ()],
                "known_as": list_known_as(row),
                **{stage.value: _read_standings(detail, stage) for stage in (Purpose.SCREEN, Purpose.CONFIRM)},
                "cost": {**vars(cost), "cost_usd": float(cost.cost_usd)},
                "parents": detail.parents,
                "children": detail.children,
                "judged_at": row.finished_at,
            }
        )


def _read_standings(detail: CandidateDetail, stage: Purpose) -> list[CandidateStandingRead]:
    against = REFERENCE_LOSSES[detail.campaign.spec["family"]]
    return [CandidateStandingRead.of_stood(each, against) for each in detail.standings if each.standing.stage == stage]


def _short(source: str | None) -> str | None:
    return None if source is None or len(source) > MOST_SOURCE else source


def _read_hyperparameters(detail: CandidateDetail) -> list[dict[str, Any]] | None:
    if detail.hyperparameters is None:
        return None
    return [
        {"name": each["name"], "value": each["value"], "is_structural": each["structural"]}
        for each in detail.hyperparameters
    ]


def _list_refusals(row: Candidate) -> list[dict[str, Any]]:
    refusal = row.refusal or {}
    return [{"line": None, **each} for each in refusal.get("all", ())]


def _read_isolation(row: Candidate) -> dict[str, Any] | None:
    return row.isolation and {"reason": row.isolation.get("reason"), "level": row.isolation["level"]}


_TEXT = {"text": _SOURCE, "html": '<div class="highlight"><pre><span class="k">def</span> …</pre></div>'}


class SourceTextRead(BaseModel):
    model_config = example(**_TEXT)

    text: str
    html: str = Field(description="The same, escaped and marked by Pygments' short CSS classes; no inline style.")

    @classmethod
    def of(cls, text: str | None) -> "SourceTextRead | None":
        return None if text is None else cls(text=text, html=highlight_python(text))


class SourceRead(BaseModel):
    model_config = example(candidate_id=_ID, name="softened", sent=_TEXT, readable=_TEXT)

    candidate_id: UUID
    name: str
    sent: SourceTextRead = Field(description="As its author wrote it.")
    readable: SourceTextRead | None = Field(description="As the gate writes what it accepted.")

    @classmethod
    def of(cls, row: Candidate) -> "SourceRead":
        sent, readable = SourceTextRead.of(row.source), SourceTextRead.of(row.readable_source)
        return cls.model_validate({"candidate_id": row.id, "name": row.name, "sent": sent, "readable": readable})


class GraphRead(BaseModel):
    model_config = example(
        candidate_id=_ID,
        name="softened",
        graph_sha256=_SHA256,
        torch_version="2.13.0",
        graph={"v": 1, "family": "pairwise", "inputs": ["beta"], "nodes": [], "out": {"r": 0}},
    )

    candidate_id: UUID
    name: str
    graph_sha256: str | None = Field(description="Of its canonical form: losses that compute the same have the same.")
    torch_version: str | None
    graph: dict[str, Any] | None = Field(description="What is trained; null of a loss that was never compiled.")

    @classmethod
    def of(cls, row: Candidate) -> "GraphRead":
        columns = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls.model_validate({**columns, "candidate_id": row.id})


_POINTS: dict[str, Any] = {"z": [-1.0, 0.0, 1.0], "value": [1.313, 0.693, 0.313], "slope": [-0.731, -0.5, -0.269]}


class CurvePointsRead(BaseModel):
    """A loss by the margin between better and worse answer."""

    model_config = example(**_POINTS)

    z: list[float] = Field(description="Beta times the margin in log-ratios.")
    value: list[float | None] = Field(description="Of the loss; null where it is not finite.")
    slope: list[float | None] = Field(description="By z, of what training follows.")


class CurveRead(BaseModel):
    model_config = example(
        candidate_id=_ID, name="softened", progress=0.0, curve=_POINTS, against="dpo", reference=_POINTS
    )

    candidate_id: UUID
    name: str
    progress: float | None = Field(description="Of training, at which the loss has this curve.")
    curve: CurvePointsRead | None = Field(description="Null where it was never probed, and where rows are no pairs.")
    against: str
    reference: CurvePointsRead | None = Field(description="That of the reference; null where rows are no pairs.")

    @classmethod
    def of(cls, row: Candidate, family: Family) -> "CurveRead":
        passport: Mapping[str, Any] = row.passport or {}
        against, is_drawn = REFERENCE_LOSSES[family], family in PAIRS
        reference = list_described(family)[against].curve if is_drawn else None
        return cls.model_validate(
            {
                **{"candidate_id": row.id, "name": row.name, "progress": passport.get("curve_progress")},
                "curve": passport.get(_CURVE) if is_drawn else None,
                **{"against": against, "reference": reference},
            }
        )

"""Rows to start a test from: a campaign in any state, and work that waits with everything above it."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.columns import Base
from discovery_service.db.tables import (
    Arena,
    Campaign,
    Candidate,
    Evaluation,
    Exchange,
    Freeze,
    Measurement,
    Proposal,
    Round,
    Seal,
    Worker,
)
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.families import Family
from discovery_service.domain.ids import uuid7
from discovery_service.domain.states import (
    CampaignStatus,
    CandidateStatus,
    EvaluationStatus,
    ProposalStatus,
    Purpose,
    RoundStatus,
)
from discovery_service.engine.campaigns import create_campaign
from discovery_service.engine.work import CANDIDATE, EVALUATION, EXCHANGE, WorkKind
from discovery_service.losses.canonical import hash_graph
from discovery_service.losses.graph import read_graph
from discovery_service.losses.refusals import Refused

Row = TypeVar("Row", bound=Base)

ARENA = "plain:mini"
RAN = "test.ran"
"""The event of a stand-in for a task."""
SOURCE = "def loss(policy_chosen_logps, policy_rejected_logps, beta):\n    return -beta * policy_chosen_logps\n"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_campaign(
    session: Session, *, status: CampaignStatus = CampaignStatus.RUNNING, name: str = "a search", **spec: Any
) -> Campaign:
    """A campaign as the API would create it, put into the given state without its events."""
    campaign = create_campaign(
        session, name=name, notes="", spec=CampaignSpec(**{"arena": ARENA} | spec), created_by=None
    )
    if status is not CampaignStatus.QUEUED:
        campaign.status, campaign.started_at = status, func.now()
        session.flush()
        session.refresh(campaign, ["started_at"])
    return campaign


def add_round(
    session: Session,
    campaign: Campaign,
    *,
    status: RoundStatus = RoundStatus.GATING,
    snapshot_rounds: Sequence[int] = (),
) -> Round:
    """By default not yet at the point from which on the engine schedules evaluations of its candidates by itself.

    The first one is the library's, where it is past the gate; else the library's is missing, and others wait for it.
    """
    last = session.scalar(select(func.max(Round.number)).where(Round.campaign_id == campaign.id))
    first = 0 if status in (RoundStatus.EVALUATING, RoundStatus.CLOSED) else 1
    number = first if last is None else last + 1
    made = Round(campaign_id=campaign.id, number=number, status=status, snapshot_rounds=list(snapshot_rounds))
    return _added(session, made)


def add_proposal(
    session: Session,
    campaign: Campaign,
    *,
    status: ProposalStatus = ProposalStatus.ANSWERED,
    made_in: Round | None = None,
) -> Proposal:
    """A proposal in the round, by default in one of its own."""
    made_in = made_in or add_round(session, campaign)
    taken = session.scalar(select(func.count()).select_from(Proposal).where(Proposal.round_id == made_in.id))
    return _added(session, Proposal(round_id=made_in.id, slot=taken, proposer="symbolic", status=status))


def add_exchange(session: Session, campaign: Campaign) -> Exchange:
    """A prompt that waits to be sent."""
    proposal = add_proposal(session, campaign, status=ProposalStatus.ASKING)
    return _added(session, Exchange(campaign_id=campaign.id, proposal_id=proposal.id, turn=0))


def add_candidate(
    session: Session,
    campaign: Campaign,
    *,
    status: CandidateStatus = CandidateStatus.ACCEPTED,
    made_in: Round | None = None,
    **values: Any,
) -> Candidate:
    """`values` override its columns; a graph comes with its hash."""
    proposal = add_proposal(session, campaign, made_in=made_in)
    if values.get("graph") is not None:
        values = {"graph_sha256": _hash(values["graph"])} | values
    columns = {
        "campaign_id": campaign.id,
        "proposal_id": proposal.id,
        "turn": 0,
        "name": "a_loss",
        "author": Author.SYMBOLIC,
        "status": status,
        "source": SOURCE,
        "source_sha256": sha256(SOURCE),
        "graph_sha256": sha256(str(proposal.id)),
    }
    return _added(session, Candidate(**columns | values))


def _hash(graph: dict[str, Any]) -> str:
    try:
        return hash_graph(read_graph(graph))
    except Refused:
        return sha256(repr(graph))


def find_or_add_arena(session: Session, name: str = ARENA, *, spec: dict[str, Any] | None = None) -> Arena:
    """`spec` is that of a new one."""
    content = sha256(name)
    arena = session.scalar(select(Arena).where(Arena.name == name, Arena.content_sha256 == content))
    return arena or _added(
        session, Arena(name=name, content_sha256=content, family=Family.PAIRWISE.value, spec=spec or {"name": name})
    )


def add_evaluation(
    session: Session, campaign: Campaign, *, candidate: Candidate | None = None, **values: Any
) -> Evaluation:
    """An evaluation that waits, of a draw of its own; `values` override its columns."""
    candidate = candidate or add_candidate(session, campaign)
    setting = {"beta": 0.1, "learning_rate": 0.001, "steps": 8}
    columns = {
        "campaign_id": campaign.id,
        "candidate_id": candidate.id,
        "arena_id": find_or_add_arena(session).id,
        "base_policy": 0,
        "setting": setting,
        "setting_sha256": sha256(repr(setting)),
        "purpose": Purpose.SCREEN,
        "draw": str(uuid7()),
        "status": EvaluationStatus.QUEUED,
    }
    return _added(session, Evaluation(**columns | values))


def add_measurement(
    session: Session, name: str | None = None, *, of: Evaluation | None = None, **values: Any
) -> Measurement:
    """A stored outcome, under a key of its own unless one is given; `values` override its columns.

    `of` an evaluation it is what that one asks for.
    """
    name = name or str(uuid7())
    columns = {
        "key_sha256": sha256(name),
        "key": {"name": name} | ({} if of is None else _asked(session, of)),
        "graph_sha256": sha256(SOURCE),
        "arena_id": find_or_add_arena(session).id,
        "metrics": {"objective": 0.5},
        "series": {"loss": [0.7, 0.6]},
        "device_seconds": 1.0,
    }
    return _added(session, Measurement(**columns | values))


def _asked(session: Session, of: Evaluation) -> dict[str, Any]:
    return {
        "graph": session.get_one(Candidate, of.candidate_id).graph_sha256,
        "arena": session.get_one(Arena, of.arena_id).content_sha256,
        "base_policy": of.base_policy,
        "setting": of.setting,
        "draw": {"purpose": of.purpose.value, "key": of.draw, "salt": of.salt, "repeat": 0},
    }


def add_freeze(session: Session, campaign: Campaign, *, sealed: bool = False) -> Freeze:
    frozen = _added(
        session, Freeze(campaign_id=campaign.id, arena_id=find_or_add_arena(session).id, plan={"draws": 12})
    )
    if sealed:
        _added(session, Seal(freeze_id=frozen.id, digest=sha256("no finalists")))
    return frozen


def add_worker(session: Session) -> Worker:
    """A worker that has been seen for a day."""
    seen_since = func.now() - timedelta(days=1)
    name = f"evaluate@{uuid7()}"
    return _added(session, Worker(name=name, queues=["evaluate"], slots=1, host="here", pid=1, seen_since=seen_since))


def add_work(session: Session, kind: WorkKind, campaign: Campaign) -> UUID:
    """A waiting row of the kind."""
    if kind is EXCHANGE:
        return add_exchange(session, campaign).id
    if kind is CANDIDATE:
        return add_candidate(session, campaign, status=CandidateStatus.PROPOSED).id
    assert kind is EVALUATION
    return add_evaluation(session, campaign).id


def _added(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    session.refresh(row)
    return row

"""What is kept of a campaign that has ended, read from its rows: pick, proposals, evaluations, what its slots did."""

from collections import Counter
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from benchmarks.bank_plan import DPO
from benchmarks.slot_time import SlotTime, Span, find_slot_time
from discovery_service.db.tables import (
    Campaign,
    CampaignProgress,
    Candidate,
    Evaluation,
    Event,
    Exchange,
    Proposal,
    Round,
    Standing,
)
from discovery_service.domain.authors import Author
from discovery_service.domain.freezing import Role
from discovery_service.domain.states import CandidateStatus, EvaluationStatus, Purpose
from discovery_service.losses.refusals import RefusalCode

ENDED = (EvaluationStatus.SUCCEEDED, EvaluationStatus.FAILED)


def read_outcome(session: Session, campaign_id: UUID, *, slots: int, was_alone: bool) -> dict[str, Any]:
    """Of a completed one. `was_alone`: it ran in one go on these slots, so that its times say something."""
    campaign = session.get_one(Campaign, campaign_id)
    progress = session.get_one(CampaignProgress, campaign_id)
    spans = _read_spans(session, campaign_id)
    time = find_slot_time(spans, slots=slots, until=_find_last_opening(session, campaign_id)) if was_alone else None
    assert campaign.started_at is not None, "it is completed"
    assert campaign.finished_at is not None, "it is completed"
    return {
        "campaign": str(campaign_id),
        "reason": campaign.status_reason,
        "pick": _read_pick(session, progress.best),
        "finalists": _list_finalists(session, campaign_id),
        "proposals": _count_proposals(session, campaign_id),
        "evaluations": progress.evaluations,
        "trainings": sum(each.trained_s > 0 for each in spans),
        "device_s": sum(each.trained_s for each in spans),
        "wall_s": (campaign.finished_at - campaign.started_at).total_seconds() if was_alone else None,
        "slot_time": None if time is None else _tell(time),
    }


def _tell(time: SlotTime) -> dict[str, float]:
    return asdict(time) | {"idle_share": time.idle_share, "lost_share": time.lost_share}


def _read_spans(session: Session, campaign_id: UUID) -> list[Span]:
    query = select(Evaluation).where(Evaluation.campaign_id == campaign_id, Evaluation.status.in_(ENDED))
    told = select(Event.subject_id, Event.payload["building_s"].as_float())
    told = told.where(Event.campaign_id == campaign_id, Event.kind == "evaluation.succeeded")
    building = {row[0]: row[1] or 0.0 for row in session.execute(told)}
    return [_make_span(each, building.get(each.id, 0.0)) for each in session.scalars(query)]


def _make_span(evaluation: Evaluation, building_s: float) -> Span:
    assert evaluation.started_at is not None, "it has ended"
    assert evaluation.finished_at is not None, "it has ended"
    return Span(
        queued_at=evaluation.created_at.timestamp(),
        started_at=evaluation.started_at.timestamp(),
        finished_at=evaluation.finished_at.timestamp(),
        trained_s=0.0 if evaluation.is_reused else building_s + (evaluation.device_seconds or 0.0),
    )


def _find_last_opening(session: Session, campaign_id: UUID) -> float:
    """Of a round: what came after it was spoken for."""
    query = select(func.max(Event.created_at)).where(Event.campaign_id == campaign_id, Event.kind == "round.opened")
    opened = session.scalar(query)
    assert opened is not None, "the library's round at least was opened"
    return opened.timestamp()


def _read_pick(session: Session, best: dict[str, Any] | None) -> dict[str, Any] | None:
    """The finalist with the highest confirmed lower bound, confirmed as better or not. None without a finalist."""
    if best is None:
        return None
    query = (
        select(Candidate, Proposal, Round.number, Standing)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .join(Standing, Standing.candidate_id == Candidate.id)
        .where(Candidate.id == UUID(best["candidate_id"]), Standing.stage == Purpose.CONFIRM.value)
    )
    candidate, proposal, number, standing = session.execute(query).one()
    found = {name: best[name] for name in ("name", "difference", "lower", "upper", "verdict")}
    against = standing.figures.get("against", {})
    other = next((name for name in against if name != DPO), None)
    return found | {
        "level": against[DPO]["level"],
        "round": number,
        "thought": (proposal.outcome or {}).get("thought"),
        "source": candidate.source,
        "known_as": [each["name"] for each in candidate.neighbours or () if each.get("is_outside")],
        "library": None if other is None else {"name": other, **against[other]},
    }


def _list_finalists(session: Session, campaign_id: UUID) -> list[dict[str, Any]]:
    """As they were confirmed against DPO; bare where one of the two failed on a draw."""
    query = (
        select(Candidate.name, Standing)
        .join(Candidate, Candidate.id == Standing.candidate_id)
        .where(Standing.campaign_id == campaign_id, Standing.stage == Purpose.CONFIRM.value)
        .order_by(Candidate.name)
    )
    rows = [(name, each) for name, each in session.execute(query) if each.figures.get("role") == Role.FINALIST.value]
    return [{"name": name, **each.figures.get("against", {}).get(DPO, {})} for name, each in rows]


def _count_proposals(session: Session, campaign_id: UUID) -> dict[str, Any]:
    """A proposal may be answered several times: what the gate refuses is drawn anew, at most twice."""
    query = select(Candidate.status, Candidate.refusal)
    where = (Candidate.campaign_id == campaign_id, Candidate.author != Author.LIBRARY)
    rows = session.execute(query.where(*where)).all()
    made = (
        select(func.count(Proposal.id))
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id, Proposal.proposer != Author.LIBRARY.value)
    )
    asked = select(func.count(Exchange.id)).where(Exchange.campaign_id == campaign_id)
    codes = Counter(refusal["code"] for status, refusal in rows if status is CandidateStatus.REJECTED)
    return {
        "made": session.scalar(made),
        "answers": session.scalar(asked),
        "accepted": sum(status is CandidateStatus.ACCEPTED for status, _ in rows),
        "refused": {code: count for code, count in sorted(codes.items()) if code != RefusalCode.DUPLICATE.value},
        "duplicates": codes[RefusalCode.DUPLICATE.value],
    }

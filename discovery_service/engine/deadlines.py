"""Budgets of time, of which nothing can be reserved: at each step what has passed is looked at.

Once no more is left than the end is expected to take, the search is cut: nobody proposes, and whoever is not screened
yet is out of the race. Once nothing is left, nothing more is begun, and the campaign ends as it stands.
"""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import (
    CUT,
    Arena,
    Campaign,
    CampaignProgress,
    Candidate,
    Evaluation,
    Event,
    Proposal,
    Round,
)
from discovery_service.domain.budget import Bound, Spend, expect_time, find_reached, tell_reached
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.states import CandidateStatus, EvaluationStatus, ProposalStatus, Purpose, RoundStatus
from discovery_service.engine.arenas import list_arenas_of
from discovery_service.engine.campaigns import cancel_waiting, complete_campaign
from discovery_service.engine.entries import JUDGED, read_field
from discovery_service.engine.events import record
from discovery_service.engine.history import EXTENDED
from discovery_service.engine.library import find_shipped, read_shipped
from discovery_service.engine.proposals import IN_MOTION
from discovery_service.engine.rounds import end_search, read_rounds, set_status
from discovery_service.engine.spending import find_wall_time, keep_back
from discovery_service.engine.work import CANDIDATE, EVALUATION, EXCHANGE
from discovery_service.engine.workers import count_live_slots

_CUT = "round.cut"
_HAS_LOSS = (CandidateStatus.PROPOSED, CandidateStatus.GATING, CandidateStatus.ACCEPTED)


def find_overrun(session: Session, campaign: Campaign, spec: CampaignSpec) -> Bound | None:
    """The budget of time that is used up."""
    return find_reached(spec.budgets, _read_time(session, campaign)) if _has_limit(spec) else None


def drop_waiting(session: Session, campaign_id: UUID) -> bool:
    """Evaluations that nobody has begun; whether others run, which may end."""
    cancel_waiting(session, campaign_id, EVALUATION)
    running = (Evaluation.campaign_id == campaign_id, Evaluation.status == EvaluationStatus.RUNNING)
    return session.scalar(select(Evaluation.id).where(*running).limit(1)) is not None


def cut_search(session: Session, campaign: Campaign, spec: CampaignSpec) -> None:
    """Where time is left for no more than the end. The campaign is locked and runs."""
    if not _has_limit(spec):
        return
    arenas = list_arenas_of(session, campaign.id, spec)
    time = _read_time(session, campaign)
    reached = find_reached(spec.budgets, time + _expect_end(session, campaign, spec, arenas))
    if reached is None:
        return
    spent = getattr(time, reached.name)
    why = (
        f"{reached.name} is limited to {reached.limit:g}: {spent:g} are spent, and the confirmation, with tuning in"
        f" held-out arenas, is expected to take another {reached.wanted - spent:g}."
    )
    rounds = read_rounds(session, campaign.id)
    if session.get_one(CampaignProgress, campaign.id, populate_existing=True).search_over_at is None:
        end_search(session, campaign.id, why)
    if not rounds:
        complete_campaign(session, campaign, f"Nothing was begun: {tell_reached(reached)}.", None)
        return
    # At every look: what has crashed or is tried again waits once more.
    searching = (Evaluation.arena_id == arenas[0].id, Evaluation.purpose.in_((Purpose.TUNE, Purpose.SCREEN)))
    dropped = cancel_waiting(session, campaign.id, EVALUATION, *searching)
    if dropped or any(each.status is not RoundStatus.CLOSED for each in rounds.values()):
        _cut(session, campaign, spec, arenas[0], {"code": reached.name, "message": why})
    cancel_waiting(session, campaign.id, EXCHANGE)
    cancel_waiting(session, campaign.id, CANDIDATE)


def find_cut(session: Session, campaign_id: UUID) -> str | None:
    """Why the search was cut, where it was; of an extended campaign since it was extended."""
    extended = select(func.max(Event.id)).where(Event.campaign_id == campaign_id, Event.kind == EXTENDED)
    query = select(Event.payload["reason"].astext).where(Event.campaign_id == campaign_id, Event.kind == _CUT)
    return session.scalars(query.where(Event.id > func.coalesce(extended.scalar_subquery(), 0)).limit(1)).first()


def _has_limit(spec: CampaignSpec) -> bool:
    return spec.budgets.device_seconds is not None or spec.budgets.wall_time_s is not None


def _read_time(session: Session, campaign: Campaign) -> Spend:
    device_seconds = session.get_one(CampaignProgress, campaign.id, populate_existing=True).device_seconds
    return Spend(device_seconds=device_seconds, wall_time_s=find_wall_time(session, campaign))


def _expect_end(session: Session, campaign: Campaign, spec: CampaignSpec, arenas: Sequence[Arena]) -> Spend:
    """From what this campaign's evaluations have taken so far, on the slots that live now."""
    arena, *held_out = arenas
    shipped = read_shipped(session, campaign.id) or find_shipped(spec, arenas)
    progress = session.get_one(CampaignProgress, campaign.id, populate_existing=True)
    return expect_time(
        keep_back(spec, arena, held_out, shipped).evaluations,
        measured=progress.evaluations,
        device_seconds=progress.device_seconds,
        slots=count_live_slots(session, EVALUATION.queue),
    )


def _cut(session: Session, campaign: Campaign, spec: CampaignSpec, arena: Arena, why: dict[str, str]) -> None:
    """Those that could still become a loss with a standing. The evaluations of theirs that run may end."""
    field = read_field(session, campaign.id, spec, arena)
    settled = {(entry.round_number, entry.slot) for entry in field.entries if entry.is_settled}
    cut: dict[int, list[int]] = defaultdict(list)
    for number, proposal in _list_in_the_race(session, campaign.id):
        if (number, proposal.slot) in settled:
            continue
        proposal.outcome = {**(proposal.outcome or {}), CUT: why}
        cut[number].append(proposal.slot)
        if proposal.status in IN_MOTION:
            proposal.status = ProposalStatus.CANCELLED
            record(session, campaign.id, f"proposal.{ProposalStatus.CANCELLED}", proposal.id)
    session.flush()
    for number, each in read_rounds(session, campaign.id).items():
        if number in cut:
            record(session, campaign.id, _CUT, each.id, number=number, slots=cut[number], reason=why["message"])
        # Those that are evaluated close as all do, now that nobody of theirs is waited for.
        if each.status not in JUDGED:
            set_status(session, each, RoundStatus.CLOSED)


def _list_in_the_race(session: Session, campaign_id: UUID) -> list[tuple[int, Proposal]]:
    """That are asked still, or have a loss that is not refused, with the numbers of their rounds."""
    has_loss = select(Candidate.id).where(Candidate.proposal_id == Proposal.id, Candidate.status.in_(_HAS_LOSS))
    query = (
        select(Round.number, Proposal)
        .join(Round, Round.id == Proposal.round_id)
        .where(
            Round.campaign_id == campaign_id,
            Proposal.status.in_(IN_MOTION) | ((Proposal.status == ProposalStatus.ANSWERED) & has_loss.exists()),
            func.coalesce(Proposal.outcome.has_key(CUT), False).is_(False),
        )
        .order_by(Round.number, Proposal.slot)
    )
    return [(number, proposal) for number, proposal in session.execute(query)]

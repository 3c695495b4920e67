"""What a campaign's page says beside its spec: its stage, what each budget has spent and holds, and about when it ends.

A look at rows that changes nothing; of a campaign that has not begun or has ended it costs one short query.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Campaign, Evaluation, Freeze, Proposal, Round
from discovery_service.domain.budget import Spend
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.forecast import CampaignStage, Forecast, make_forecast
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, RoundStatus, is_final
from discovery_service.engine.arenas import get_arena_of
from discovery_service.engine.spending import count_trainings, find_wall_time, keep_back_for, read_ledger, was_begun
from discovery_service.engine.work import EVALUATION
from discovery_service.engine.workers import count_live_slots

_HALTED = {
    CampaignStatus.PAUSED: "It is paused: nothing goes on before it is resumed.",
    CampaignStatus.CANCELLING: "It is being cancelled.",
}


@dataclass(frozen=True)
class Outlook:
    stage: CampaignStage | None
    """None before it has begun."""
    spent: Spend
    """Of candidates those whose rounds are closed."""
    committed: Spend
    """With what is in flight at its worst, and what is kept back for the end."""
    forecast: Forecast | None
    """None before it has begun and once it has ended."""


class _Made(NamedTuple):
    """Of a round."""

    status: RoundStatus
    proposals: int


@dataclass(frozen=True)
class _Underway:
    """A campaign that has begun and not ended."""

    campaign: Campaign
    spec: CampaignSpec
    rounds: Mapping[int, _Made]
    search: Arena
    held_out: Sequence[Arena]
    freezes: Mapping[UUID, UUID]
    """By arena; of an extension those that are its own."""
    waiting: Mapping[UUID | None, int]
    """Evaluations that wait or run, by the freeze that they confirm."""

    @property
    def is_search_over(self) -> bool:
        """Nobody proposes any more; an extension begins to search again."""
        return self.campaign.progress.search_over_at is not None

    @property
    def stage(self) -> CampaignStage:
        library, frozen = self.rounds.get(LIBRARY_ROUND), self.freezes.get(self.search.id)
        if library is None or library.status is not RoundStatus.CLOSED:
            return CampaignStage.LIBRARY
        if frozen is None or not self.is_search_over:
            return CampaignStage.SEARCHING
        return CampaignStage.CONFIRMING if frozen in self.waiting else CampaignStage.HELD_OUT

    @property
    def is_all_frozen(self) -> bool:
        """From then on whatever is left waits or runs already."""
        return self.is_search_over and all(each.id in self.freezes for each in (self.search, *self.held_out))


def read_outlook(session: Session, campaign: Campaign) -> Outlook:
    rounds = {} if campaign.started_at is None else _read_rounds(session, campaign.id)
    spent = _read_spent(session, campaign, rounds)
    if is_final(campaign.status):
        return Outlook(CampaignStage.ENDED, spent, spent, None)
    spec = _find_spec(campaign)
    if not rounds or spec is None:
        return Outlook(None, spent, spent, None)
    underway = _read_underway(session, campaign, spec, rounds)
    committed = _find_committed(session, underway, spent)
    forecast = make_forecast(
        _count_left(underway, spent, committed),
        measured=spent.evaluations,
        device_seconds=spent.device_seconds,
        slots=count_live_slots(session, EVALUATION.queue),
        halted=_HALTED.get(campaign.status),
    )
    return Outlook(underway.stage, spent, committed, forecast)


def _read_rounds(session: Session, campaign_id: UUID) -> dict[int, _Made]:
    query = (
        select(Round.number, Round.status, func.count(Proposal.id))
        .outerjoin(Proposal, (Proposal.round_id == Round.id) & was_begun())
        .where(Round.campaign_id == campaign_id)
        .group_by(Round.number, Round.status)
    )
    return {number: _Made(status, proposals) for number, status, proposals in session.execute(query)}


def _read_spent(session: Session, campaign: Campaign, rounds: Mapping[int, _Made]) -> Spend:
    progress = campaign.progress
    closed = (each.proposals for number, each in rounds.items() if number and each.status is RoundStatus.CLOSED)
    return Spend(
        candidates=sum(closed),
        evaluations=progress.evaluations,
        tokens=progress.tokens,
        cost_usd=progress.cost_usd,
        device_seconds=progress.device_seconds,
        wall_time_s=0.0 if campaign.started_at is None else find_wall_time(session, campaign),
    )


def _find_spec(campaign: Campaign) -> CampaignSpec | None:
    """None where it names what this version does not know: it stays readable, and nothing is said of its end."""
    try:
        return CampaignSpec.model_validate(campaign.spec)
    except ValidationError:
        return None


def _read_underway(session: Session, campaign: Campaign, spec: CampaignSpec, rounds: Mapping[int, _Made]) -> _Underway:
    search, *held_out = (get_arena_of(session, campaign.id, name) for name in (spec.arena, *spec.held_out_arenas))
    frozen = select(Freeze.arena_id, Freeze.id).where(
        Freeze.campaign_id == campaign.id, Freeze.extension == campaign.extension
    )
    waiting = (
        select(Evaluation.seal_id, func.count())
        .where(
            Evaluation.campaign_id == campaign.id,
            Evaluation.status.in_((EvaluationStatus.QUEUED, EvaluationStatus.RUNNING)),
        )
        .group_by(Evaluation.seal_id)
    )
    return _Underway(
        campaign=campaign,
        spec=spec,
        rounds=rounds,
        search=search,
        held_out=held_out,
        freezes={row.arena_id: row.id for row in session.execute(frozen)},
        waiting={row.seal_id: row[1] for row in session.execute(waiting)},
    )


def _find_committed(session: Session, underway: _Underway, spent: Spend) -> Spend:
    """Closed rounds at what they came to, others at their worst; the end at what is kept back, or came to already."""
    ledger = read_ledger(session, underway.campaign.id, underway.spec, underway.search)
    closed = [number for number, each in underway.rounds.items() if each.status is RoundStatus.CLOSED]
    in_rounds = sum(each.evaluations for each in ledger.spent.values())
    campaign, arenas = underway.campaign, [underway.search, *underway.held_out]
    kept = keep_back_for(session, campaign.id, underway.spec, arenas, campaign.extension).evaluations
    at_the_end = max(kept, spent.evaluations - in_rounds)
    committed = ledger.committed(closed) + Spend(evaluations=at_the_end)
    if underway.is_all_frozen:
        committed = replace(committed, evaluations=spent.evaluations + sum(underway.waiting.values()))
    return replace(committed, device_seconds=spent.device_seconds, wall_time_s=spent.wall_time_s)


def _count_left(underway: _Underway, spent: Spend, committed: Spend) -> int:
    """Evaluations, at most: of what is committed, and of rounds that may still be opened."""
    most = committed.evaluations
    if not underway.is_search_over:
        slots, size = underway.spec.budgets.candidates - committed.candidates, underway.spec.strategy.round_size
        for start in range(0, max(slots, 0), size):
            most += sum(count_trainings(underway.spec, underway.search, min(size, slots - start)))
    limit = underway.spec.budgets.evaluations
    return max((most if limit is None else min(most, limit)) - spent.evaluations, 0)

"""What a campaign has spent and what it holds for what is in flight, round by round, and what it keeps for its end."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import (
    NOT_BEGUN,
    Arena,
    Campaign,
    Candidate,
    Evaluation,
    Event,
    Exchange,
    Finalist,
    Freeze,
    Proposal,
    Round,
)
from discovery_service.domain.arenas import list_base_policies
from discovery_service.domain.budget import Spend, find_bounds
from discovery_service.domain.campaign import Budgets, CampaignSpec
from discovery_service.domain.freezing import ConfirmationPlan, SdSource, plan_confirmation
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.states import TRAINED, ExchangeStatus, Purpose, RoundStatus
from discovery_service.domain.token_costs import Spent
from discovery_service.domain.tuning_plans import find_plan
from discovery_service.engine.history import EXTENDED
from discovery_service.engine.library import Shipped, list_library, read_shipped
from discovery_service.engine.screen import find_library


@dataclass(frozen=True)
class Ledger:
    """By round: what it came to, and what it can come to at most."""

    spent: dict[int, Spend]
    worst: dict[int, Spend]

    def committed(self, seen: Collection[int]) -> Spend:
        """The rounds that are seen at what they came to, others at their worst: whether such a one is closed already
        makes no difference, or what is begun would depend on who was faster."""
        total = Spend()
        for number, worst in self.worst.items():
            total += self.spent[number] if number in seen else worst
        return total

    def before(self, number: int) -> "Ledger":
        """As far as the rounds before this one."""
        earlier = [each for each in self.worst if each < number]
        return Ledger({each: self.spent[each] for each in earlier}, {each: self.worst[each] for each in earlier})


def read_ledger(session: Session, campaign_id: UUID, spec: CampaignSpec, arena: Arena) -> Ledger:
    calls = _read_calls(session, campaign_id)
    evaluations = _count_evaluations(session, campaign_id, arena.id)
    query = (
        select(Round.number, func.count(Proposal.id))
        .join_from(Round, Proposal, (Proposal.round_id == Round.id) & was_begun(), isouter=True)
        .where(Round.campaign_id == campaign_id, Round.status != RoundStatus.QUEUED)
        .group_by(Round.number)
    )
    taken = read_shipped(session, campaign_id).get(arena.content_sha256, ())
    spent, worst = {}, {}
    for number, proposals in session.execute(query):
        slots = 0 if number == LIBRARY_ROUND else proposals
        spend, most = calls[number]
        spent[number] = replace(spend, candidates=slots, evaluations=evaluations.get(number, 0))
        if number == LIBRARY_ROUND:
            trained = count_library(spec, arena, proposals, shipped=len(taken))
        else:
            trained = sum(count_trainings(spec, arena, proposals))
        worst[number] = replace(most, candidates=slots, evaluations=trained)
    return Ledger(spent, worst)


def was_begun() -> ColumnElement[bool]:
    """Not what waited in vain for its round. What was cut while it was asked for counts: it has cost a question."""
    return func.coalesce(Proposal.outcome["code"].astext, "") != NOT_BEGUN


def count_trainings(spec: CampaignSpec, arena: Arena, slots: int) -> list[int]:
    """What each slot of a round adds at most. Of n losses the worse n // 2 stop, so that every other one is cheap."""
    plan = find_plan(arena.spec)
    whole = plan.trainings + spec.tuning.screen_draws
    return [plan.first_trainings if slot % 2 else whole for slot in range(slots)]


def count_library(spec: CampaignSpec, arena: Arena, losses: int, *, shipped: int) -> int:
    """What the library's round comes to, of which so many are not tuned."""
    return losses * spec.tuning.screen_draws + (losses - shipped) * find_plan(arena.spec).trainings


def _read_calls(session: Session, campaign_id: UUID) -> dict[int, tuple[Spend, Spend]]:
    # Messages and replies are nearly all of an exchange, and of no use here.
    charged = (Exchange.tokens_in, Exchange.tokens_out, Exchange.cost_usd)
    reserved = (Exchange.reserved_tokens, Exchange.reserved_usd)
    query = (
        select(Round.number, Exchange.status, *charged, *reserved)
        .join(Proposal, Proposal.id == Exchange.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Exchange.campaign_id == campaign_id)
    )
    found: dict[int, tuple[Spend, Spend]] = defaultdict(lambda: (Spend(), Spend()))
    for exchange in session.execute(query):
        spent, worst = _weigh(exchange)
        before = found[exchange.number]
        found[exchange.number] = (before[0] + spent, before[1] + worst)
    return found


def _weigh(exchange: Any) -> tuple[Spend, Spend]:
    charged = Spend(
        tokens=(exchange.tokens_in or 0) + (exchange.tokens_out or 0), cost_usd=exchange.cost_usd or Decimal(0)
    )
    reserved = Spend(tokens=exchange.reserved_tokens or 0, cost_usd=exchange.reserved_usd or Decimal(0))
    # One that is asked is charged its worst case already; one that is tried again has been charged before, perhaps.
    spent = charged + reserved if exchange.status is ExchangeStatus.QUEUED else charged
    most = Spend(tokens=max(spent.tokens, reserved.tokens), cost_usd=max(spent.cost_usd, reserved.cost_usd))
    return spent, most


def _count_evaluations(session: Session, campaign_id: UUID, arena_id: UUID) -> dict[int, int]:
    """Of tuning and screening in the arena, by the round in which the loss was made."""
    query = (
        select(Round.number, func.count(Evaluation.id))
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(
            Evaluation.campaign_id == campaign_id,
            Evaluation.arena_id == arena_id,
            Evaluation.purpose.in_((Purpose.TUNE, Purpose.SCREEN)),
            Evaluation.status.in_(TRAINED),
        )
        .group_by(Round.number)
    )
    return {row.number: row[1] for row in session.execute(query)}


def find_allowance(
    session: Session,
    campaign_id: UUID,
    spec: CampaignSpec,
    arenas: Sequence[Arena],
    extension: int,
    rounds: Collection[int],
) -> int | None:
    """Evaluations for the confirmation in the first of these arenas, where the search was: what it has not spent in
    these rounds, less what the spec's fewest draws take in the others. None without a budget.
    """
    if spec.budgets.evaluations is None:
        return None
    arena, *held_out = arenas
    shipped = read_shipped(session, campaign_id)
    kept = sum(keep_for(spec, each, shipped, fewest=True) for each in held_out)
    ended = count_ended(session, campaign_id, arena, extension)
    searched = _count_evaluations(session, campaign_id, arena.id)
    return spec.budgets.evaluations - sum(searched.get(number, 0) for number in rounds) - kept - ended


def find_allowance_apart(
    session: Session,
    campaign_id: UUID,
    spec: CampaignSpec,
    arena: Arena,
    held_out: Sequence[Arena],
    spare: int,
    extension: int,
) -> int:
    """For the confirmation in one of the held-out arenas: what the fewest draws take, and of what the search arena has
    left over a part by what each wants beyond that; less its tuning. So it does not depend on who is tuned first.
    """
    shipped = read_shipped(session, campaign_id)
    fewest = {each.id: keep_for(spec, each, shipped, fewest=True) for each in held_out}
    beyond = {each.id: keep_for(spec, each, shipped) - fewest[each.id] for each in held_out}
    wanted = sum(beyond.values())
    part = spare * beyond[arena.id] // wanted if wanted else spare // len(held_out)
    before, tuned = (
        _count_charged(session, campaign_id, (Evaluation.arena_id == arena.id) & _was_tuned_apart(campaign_id, each))
        for each in (extension, extension + 1)
    )
    return fewest[arena.id] + part - (tuned - before)


def count_ended(session: Session, campaign_id: UUID, arena: Arena, extension: int) -> int:
    """Evaluations of the ends before this extension: of all but the search, which was in this arena."""
    seals = select(Freeze.id).where(Freeze.campaign_id == campaign_id, Freeze.extension < extension)
    apart = (Evaluation.arena_id != arena.id) & _was_tuned_apart(campaign_id, extension)
    return _count_charged(session, campaign_id, Evaluation.seal_id.in_(seals) | apart)


def _was_tuned_apart(campaign_id: UUID, extension: int) -> ColumnElement[bool]:
    """By whoever was frozen before this extension."""
    frozen = (
        select(Finalist.candidate_id)
        .join(Freeze, Freeze.id == Finalist.freeze_id)
        .where(Freeze.campaign_id == campaign_id, Freeze.extension < extension)
    )
    return Evaluation.purpose.in_((Purpose.TUNE, Purpose.SCREEN)) & Evaluation.candidate_id.in_(frozen)


def _count_charged(session: Session, campaign_id: UUID, which: ColumnElement[bool]) -> int:
    query = select(func.count(Evaluation.id)).where(Evaluation.campaign_id == campaign_id, which)
    return session.scalar(query.where(Evaluation.status.in_(TRAINED))) or 0


def can_afford(session: Session, campaign_id: UUID, budgets: Budgets, worst: Spent) -> bool:
    """Whether another call fits beside what all have cost and those in flight may."""
    total = Spend(tokens=worst.tokens, cost_usd=worst.cost_usd or Decimal(0))
    for spent, _ in _read_calls(session, campaign_id).values():
        total += spent
    return not any(find_bounds(budgets, total))


def keep_back(spec: CampaignSpec, arena: Arena, held_out: Iterable[Arena], shipped: Shipped) -> Spend:
    """Evaluations for the end: the confirmation in the search arena, and tuning and confirmation in the others."""
    apart = sum(keep_for(spec, each, shipped) for each in held_out)
    return Spend(evaluations=_count_confirming(spec, arena) + apart)


def keep_back_for(
    session: Session, campaign_id: UUID, spec: CampaignSpec, arenas: Sequence[Arena], extension: int
) -> Spend:
    """For the end that is to come, and what was spent for those of earlier extensions."""
    arena, *held_out = arenas
    ended = Spend(evaluations=count_ended(session, campaign_id, arena, extension))
    return keep_back(spec, arena, held_out, read_shipped(session, campaign_id)) + ended


def keep_for(spec: CampaignSpec, arena: Arena, shipped: Shipped, *, fewest: bool = False) -> int:
    """A held-out one, where finalists and references are tuned and confirmed, on the fewest draws or as many as its
    calibration asks for."""
    tuned = _count_tuned(spec, shipped.get(arena.content_sha256, {}))
    return tuned * find_plan(arena.spec).trainings + _count_confirming(spec, arena, fewest=fewest)


def _count_tuned(spec: CampaignSpec, shipped: Collection[str]) -> int:
    """In a held-out arena: finalists, the reference, and the best other loss of the library, which may be any."""
    others = {each.name for each in list_library(spec)} - {spec.reference}
    return spec.confirmation.finalists + (spec.reference not in shipped) + (not others <= set(shipped))


def _count_confirming(spec: CampaignSpec, arena: Arena, *, fewest: bool = False) -> int:
    """Finalists, the best other loss of the library, and the reference at each setting that its tuning chooses from."""
    draws = plan_end(spec, arena, fewest=fewest).draws
    return (spec.confirmation.finalists + 1 + find_plan(arena.spec).finalists) * draws


def plan_end(spec: CampaignSpec, arena: Arena, *, fewest: bool = False) -> ConfirmationPlan:
    """Of the confirmation, as far as it is known beforehand: with as many finalists as there can be."""
    met, library = find_plan(arena.spec).finalists, None if fewest else find_library(arena)
    return plan_confirmation(
        detect=spec.confirmation.detect,
        at_least=spec.confirmation.min_draws,
        sd=None if library is None else library["sd"],
        sd_source=SdSource.NOTHING if library is None else SdSource.CALIBRATION,
        finalists=spec.confirmation.finalists,
        looked_at=spec.budgets.candidates,
        base_policies=list_base_policies(arena.spec),
        met=met,
    )


def find_wall_time(session: Session, campaign: Campaign) -> float:
    """Seconds by the database's clock since it was started, paused or not, without those in which it had ended."""
    until = func.coalesce(Campaign.finished_at, func.now())
    passed = select(func.extract("epoch", until - Campaign.started_at)).where(Campaign.id == campaign.id)
    seconds = float(session.scalar(passed) or 0)
    if not campaign.extension:
        return seconds
    ended = select(func.sum(Event.payload["had_ended_for_s"].as_float()))
    ended = ended.where(Event.campaign_id == campaign.id, Event.kind == EXTENDED)
    return seconds - (session.scalar(ended) or 0)

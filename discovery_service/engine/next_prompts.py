"""What a round opened now would ask, and what was asked in a round that is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, CampaignProgress, Exchange, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.orders import Order
from discovery_service.domain.states import RoundStatus
from discovery_service.domain.token_costs import Message
from discovery_service.engine.archive import read_archive
from discovery_service.engine.arenas import get_arena_of
from discovery_service.engine.by_hand import list_of_people
from discovery_service.engine.questions import ask_slots
from discovery_service.engine.rounds import are_closed, decide, find_first_seen, prepare_opening, read_rounds
from discovery_service.errors import Conflict, NotFound


@dataclass(frozen=True)
class Shown:
    """One question with whom it goes to."""

    round: int
    slot: int
    turn: int
    proposer: Author
    model: str | None
    request: dict[str, Any]
    sees: list[int]
    prompt_version: str | None
    messages: list[Message]
    """None for the symbolic proposer, which reads the archive itself."""


@dataclass(frozen=True)
class NextPrompts:
    shown: Sequence[Shown]
    without_a_slot: Sequence[Author]
    """Proposers of the spec that get no slot of this round."""
    is_search_over: bool
    """Another round would need a larger budget, or other stop rules."""


def list_next_prompts(session: Session, campaign: Campaign) -> NextPrompts:
    """The first question for each kind of proposer. Nothing is to be committed.

    Conflict before the library is measured: all prompts show what came of it.
    """
    spec, rounds = CampaignSpec.model_validate(campaign.spec), read_rounds(session, campaign.id)
    if not rounds or not are_closed(rounds, LIBRARY_ROUND):
        raise Conflict("Nobody is asked before round 0, the library, is measured: every prompt shows what came of it.")
    arena = get_arena_of(session, campaign.id, spec.arena)
    number = 1 + max(each.number for each in rounds.values() if each.status is not RoundStatus.QUEUED)
    waiting = rounds.get(number)
    seen = _list_seen(session, campaign, spec, number, rounds)
    ordered = Order.of(None if waiting is None else waiting.ordered).apply(spec)
    taken = 0 if waiting is None else len(list_of_people(session, waiting))
    archive = read_archive(session, campaign.id, arena.id, seen)
    first: dict[Author, Shown] = {}
    for each in ask_slots(session, campaign.id, ordered, arena, archive, round_index=number, taken=taken):
        shown = Shown(
            *(number, each.slot, 0, each.whom.author, each.whom.model),
            request=each.request.document(),
            sees=seen,
            prompt_version=each.prompt_version,
            messages=each.messages,
        )
        first.setdefault(shown.proposer, shown)
    kinds = [Author(each.kind) for each in ordered.proposers]
    progress = session.get_one(CampaignProgress, campaign.id)
    without = [each for each in kinds if each not in first]
    return NextPrompts([first[each] for each in kinds if each in first], without, progress.search_over_at is not None)


def _list_seen(
    session: Session, campaign: Campaign, spec: CampaignSpec, number: int, rounds: Mapping[int, Round]
) -> list[int]:
    """What it will see; of one that is not due yet, those of them that are closed."""
    first, opening = find_first_seen(spec, number), prepare_opening(session, campaign, spec, number, rounds.get(number))
    for last in range(first, number):
        if are_closed(rounds, last) and decide(session, campaign.id, spec, opening, range(last + 1)).slots:
            return list(range(last + 1))
    return [each for each in range(first + 1) if are_closed(rounds, each)]


def get_stored_prompt(session: Session, campaign_id: UUID, number: int, slot: int, turn: int) -> Shown:
    """NotFound where nobody was asked there."""
    query = (
        select(Exchange, Proposal, Round.snapshot_rounds)
        .join(Proposal, Proposal.id == Exchange.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id, Round.number == number, Proposal.slot == slot, Exchange.turn == turn)
    )
    found = session.execute(query).one_or_none()
    if found is None:
        told = f"Nobody was asked in round {number}, slot {slot}, turn {turn} of this campaign"
        raise NotFound(f"{told}; {_tell_asked(session, campaign_id)}.")
    exchange, proposal, sees = found
    return Shown(
        *(number, slot, turn, Author(proposal.proposer), exchange.model),
        request=proposal.request,
        sees=sees,
        prompt_version=exchange.prompt_version,
        messages=exchange.messages,
    )


def _tell_asked(session: Session, campaign_id: UUID) -> str:
    asked = (
        select(Round.number, Proposal.slot)
        .join(Proposal, Proposal.round_id == Round.id)
        .join(Exchange, Exchange.proposal_id == Proposal.id)
        .where(Round.campaign_id == campaign_id)
        .distinct()
    )
    slots: dict[int, list[int]] = {}
    for number, slot in session.execute(asked.order_by(Round.number, Proposal.slot)):
        slots.setdefault(number, []).append(slot)
    told = (f"round {number} (slots {', '.join(map(str, each))})" for number, each in slots.items())
    return f"somebody was in {', '.join(told)}" if slots else "nobody was in any round"

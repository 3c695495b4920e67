"""Replays what was proposed: what each round saw, whom it asked for what, and what was made of the replies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import CUT, Arena, Campaign, CampaignProgress, Event, Exchange, Round
from discovery_service.domain.archive import Archive
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Budgets, CampaignSpec
from discovery_service.domain.families import Family
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.orders import Order
from discovery_service.domain.proposals import Next, Step
from discovery_service.domain.requests import Request
from discovery_service.domain.states import CampaignStatus, CandidateStatus, ExchangeStatus, ProposalStatus
from discovery_service.engine.archive import read_archive
from discovery_service.engine.arenas import get_arena_of, list_arenas_of
from discovery_service.engine.by_hand import list_of_people
from discovery_service.engine.entries import read_field
from discovery_service.engine.findings import Findings, What
from discovery_service.engine.history import History
from discovery_service.engine.library import list_library
from discovery_service.engine.proposals import (
    IN_MOTION,
    ROOM,
    ProposalCourse,
    find_outcome,
    read_courses,
    read_loss,
    show_failure,
    write_repair,
)
from discovery_service.engine.questions import Asked, ask_slots
from discovery_service.engine.rounds import Opening, decide, find_first_seen, read_rounds
from discovery_service.engine.spending import Ledger, keep_back_for, read_ledger
from discovery_service.errors import ServiceError
from discovery_service.losses.refusals import RefusalCode
from discovery_service.prompts.parse import ReplyFailure
from discovery_service.prompts.templates import VERSION
from discovery_service.search.ask import show

_TIMED = ("tokens", "cost_usd", "device_seconds", "wall_time_s")
"""Budgets whose room depends on what others took, and when."""
_ROOM_UNKNOWN = (
    "What budgets in tokens, dollars or time had room for follows from when replies and trainings came: of the rounds"
    " under them it is only checked that the other budgets and the rules allowed as much."
)

Redraw = Callable[[Request, Archive, Family, Mapping[str, int]], str | None]
"""The symbolic proposer: request, what it sees, family, and seed, round, slot and turn. None: it has nothing new."""


@dataclass(frozen=True)
class _Replay:
    """One campaign on its way through its rounds."""

    session: Session
    campaign: Campaign
    history: History
    findings: Findings
    redraw: Redraw
    arena: Arena
    rounds: Mapping[int, Round]
    ledger: Ledger
    rooms: Mapping[UUID, int]
    """By exchange, what a model's context left for the prompt when it was written."""


def replay_rounds(session: Session, campaign: Campaign, history: History, findings: Findings, redraw: Redraw) -> None:
    rounds = read_rounds(session, campaign.id)
    if not rounds:
        return
    spec = CampaignSpec.model_validate(campaign.spec)
    arena = get_arena_of(session, campaign.id, spec.arena)
    ledger = read_ledger(session, campaign.id, spec, arena)
    on = _Replay(session, campaign, history, findings, redraw, arena, rounds, ledger, _read_rooms(session, campaign.id))
    for number, each in rounds.items():
        if number == LIBRARY_ROUND:
            _replay_library(on, each, spec)
            continue
        if not history.tells_of(each.id):
            findings.note(f"No event tells that round {number} was opened, so that nothing of it is derived.")
            continue
        at = history.spec_at(each.id)
        try:
            _replay_snapshot(on, each, at)
            _replay_proposals(on, each, at)
        # Whatever a row may hold that somebody changed; the other rounds are derived all the same.
        except (ServiceError, LookupError, TypeError, ValueError) as error:
            where = f"round {number}"
            findings.compare(What.SNAPSHOT, where, each.snapshot_rounds, f"{type(error).__name__}: {error}")
    _replay_end(on, max(rounds))


def _read_rooms(session: Session, campaign_id: UUID) -> dict[UUID, int]:
    query = select(Event.subject_id, Event.payload[ROOM].as_integer())
    query = query.where(Event.campaign_id == campaign_id, Event.payload.has_key(ROOM))
    return {exchange_id: room for exchange_id, room in session.execute(query) if exchange_id is not None}


def _replay_library(on: _Replay, library: Round, spec: CampaignSpec) -> None:
    stored = {
        course.proposal.slot: {"name": made.name, "source": made.source}
        for course in read_courses(on.session, Round.id == library.id)
        for made in course.candidates.values()
    }
    derived = {slot: {"name": known.name, "source": known.text} for slot, known in enumerate(list_library(spec))}
    for slot in sorted({*stored, *derived}):
        where = f"round {LIBRARY_ROUND}, slot {slot}"
        on.findings.compare(What.LIBRARY, where, stored.get(slot), derived.get(slot))


def _replay_snapshot(on: _Replay, each: Round, spec: CampaignSpec) -> None:
    courses = read_courses(on.session, Round.id == each.id)
    slots = sum(course.author.is_machine for course in courses)
    stored = {"sees": each.snapshot_rounds, "asks": slots}
    derived = _find_opening(on, each.number, spec, each.number - 1, on.history.extension_at(each.id))
    if _is_timed(spec.budgets):
        on.findings.note(_ROOM_UNKNOWN)
        # With less room it sees no fewer, and asks no more.
        allowed = [*range(each.number)]
        sees = derived.get("sees", allowed)
        if sees == each.snapshot_rounds[: len(sees)] and each.snapshot_rounds == allowed[: len(each.snapshot_rounds)]:
            is_fewer = each.snapshot_rounds != sees or slots <= derived.get("asks", 0)
            derived = stored if is_fewer else derived
    on.findings.compare(What.SNAPSHOT, f"round {each.number}", stored, derived)


def _find_opening(on: _Replay, number: int, spec: CampaignSpec, last: int, extension: int) -> dict[str, Any]:
    """What a round sees that may see the rounds up to `last`, and how many it asks; nothing where it has no room."""
    budgets = spec.budgets.model_copy(update=dict.fromkeys(_TIMED))
    free = spec.model_copy(update={"budgets": budgets})
    arenas = list_arenas_of(on.session, on.campaign.id, free)
    kept = keep_back_for(on.session, on.campaign.id, free, arenas, extension)
    made_in = on.rounds.get(number)
    people = () if made_in is None else list_of_people(on.session, made_in)
    opening = Opening(number, on.arena, on.ledger.before(number), kept, made_in, people)
    for seen in range(find_first_seen(spec, number), last + 1):
        # How many are asked does not depend on how long their prompts may be.
        decision = decide(on.session, on.campaign.id, free, opening, range(seen + 1), rooms={})
        if decision.stop is not None:
            return {"ends": decision.stop}
        if decision.slots:
            return {"sees": [*range(seen + 1)], "asks": len(decision.asked)}
    return {}


def _is_timed(budgets: Budgets) -> bool:
    return any(getattr(budgets, name) is not None for name in _TIMED)


def _replay_end(on: _Replay, last: int) -> None:
    """That nobody proposed any more is derived from budgets and stop rules too."""
    progress = on.session.get_one(CampaignProgress, on.campaign.id)
    if progress.search_over_at is None or on.campaign.status is CampaignStatus.CANCELLED:
        return
    spec = on.history.spec_at(on.campaign.id)
    if _is_timed(spec.budgets):
        on.findings.note(_ROOM_UNKNOWN)
        return
    # Without the reference nothing is proposed, whatever the budgets have room for.
    can_go_on = read_field(on.session, on.campaign.id, spec, on.arena).has_reference
    opened = _find_opening(on, last + 1, spec, last, on.campaign.extension) if can_go_on else {}
    derived = f"round {last + 1} is opened" if "sees" in opened else "the search is over"
    on.findings.compare(What.SNAPSHOT, f"after round {last}", "the search is over", derived)


@dataclass(frozen=True)
class _Seen:
    """A round with what its proposers saw, and what they would be asked."""

    number: int
    spec: CampaignSpec
    shown: Archive
    asked: Mapping[int, Asked]

    def where(self, course: ProposalCourse, turn: int | None = None) -> str:
        place = f"round {self.number}, slot {course.proposal.slot}"
        return place if turn is None else f"{place}, turn {turn}"


def _replay_proposals(on: _Replay, each: Round, spec: CampaignSpec) -> None:
    archive = read_archive(on.session, on.campaign.id, on.arena.id, each.snapshot_rounds)
    ordered, taken = Order.of(each.ordered).apply(spec), len(list_of_people(on.session, each))
    places = {"round_index": each.number, "taken": taken}
    courses = read_courses(on.session, Round.id == each.id)
    firsts = {course.proposal.slot: course.exchanges[0].id for course in courses if course.exchanges}
    rooms = {slot: on.rooms[exchange_id] for slot, exchange_id in firsts.items() if exchange_id in on.rooms}
    asked = ask_slots(on.session, on.campaign.id, ordered, on.arena, archive, rooms=rooms, **places)
    seen = _Seen(each.number, spec, show(spec.strategy.name, archive), {one.slot: one for one in asked})
    for course in courses:
        if not course.author.is_machine:
            continue
        _replay_question(on, seen, course)
        for exchange in course.exchanges:
            if exchange.turn:
                _replay_repair(on, seen, course, exchange)
            if exchange.status is ExchangeStatus.ANSWERED:
                _replay_reply(on, seen, course, exchange)
        _replay_ending(on, seen, course)


def _replay_question(on: _Replay, seen: _Seen, course: ProposalCourse) -> None:
    asked, where = seen.asked.get(course.proposal.slot), seen.where(course)
    stored = {"proposer": course.author, **course.proposal.request}
    derived = None if asked is None else {"proposer": asked.whom.author, **asked.request.document()}
    on.findings.compare(What.REQUEST, where, stored, derived)
    first = course.exchanges[0] if course.exchanges else None
    if asked is None or first is None:
        return
    if first.prompt_version not in (None, VERSION):
        told = f"Some prompts have the words of version {first.prompt_version}; this package writes version {VERSION}."
        on.findings.note(f"{told} Those are not derived again.")
        return
    on.findings.compare(
        What.PROMPT,
        where,
        {"model": first.model, "messages": first.messages},
        {"model": asked.whom.model, "messages": asked.messages},
    )


def _replay_repair(on: _Replay, seen: _Seen, course: ProposalCourse, exchange: Exchange) -> None:
    last = course.exchanges[exchange.turn - 1]
    messages = write_repair(course, last, on.rooms.get(exchange.id))
    on.findings.compare(What.PROMPT, seen.where(course, exchange.turn), exchange.messages, messages)


def _replay_reply(on: _Replay, seen: _Seen, course: ProposalCourse, exchange: Exchange) -> None:
    where = seen.where(course, exchange.turn)
    if course.author is Author.SYMBOLIC:
        place = {"seed": seen.spec.seed, "round_index": seen.number, "slot": course.proposal.slot}
        request = Request.of(course.proposal.request)
        reply = on.redraw(request, seen.shown, seen.spec.family, {**place, "turn": exchange.turn})
        on.findings.compare(What.REPLY, where, exchange.reply, reply)
    made = course.candidates.get(exchange.turn)
    if made is None and exchange.failure is None:
        return  # nobody has read it: the campaign ended, or has not come so far
    said = read_loss(exchange.reply or "")
    stored = exchange.failure if made is None else {"name": made.name, "source": made.source, "values": made.values}
    derived = show_failure(said) if isinstance(said, ReplyFailure) else said._asdict()
    on.findings.compare(What.CANDIDATE, where, stored, derived)


def _replay_ending(on: _Replay, seen: _Seen, course: ProposalCourse) -> None:
    status, outcome = course.proposal.status, dict(course.proposal.outcome or {})
    # A budget of time cuts by the clock.
    outcome.pop(CUT, None)
    if status in (*IN_MOTION, ProposalStatus.CANCELLED):
        return
    step = course.find_step()
    last = course.exchanges[-1]
    was_unaffordable = outcome.pop("not_asked_again", None) is not None and step.next is Next.ASK
    ended = status if was_unaffordable or _was_refused_at_barrier(course, step) else step.status
    stored = {"status": status, **outcome}
    derived = {"status": ended, **find_outcome(last, has_loss=last.turn in course.candidates)}
    on.findings.compare(What.PROPOSAL, seen.where(course), stored, derived)


def _was_refused_at_barrier(course: ProposalCourse, step: Step) -> bool:
    """As a twin of one beside it, after the gate had accepted it and its proposal had ended."""
    made = course.candidates.get(course.exchanges[-1].turn)
    if step.next is not Next.ASK or made is None or made.status is not CandidateStatus.REJECTED:
        return False
    is_twin = (made.refusal or {}).get("code") == RefusalCode.DUPLICATE
    return is_twin and course.proposal.status is ProposalStatus.ANSWERED

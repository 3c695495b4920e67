"""Settles the proposals of open rounds: a reply becomes a candidate, a refusal another question, until there is an end.

Whoever does this finds the same: it looks at nothing but how a proposal's exchanges and candidates stand.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, Candidate, Exchange, Lineage, Proposal, Round
from discovery_service.domain.archive import Place
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.proposals import Next, Step, Turn, count_repairs, find_step
from discovery_service.domain.requests import Request
from discovery_service.domain.states import ExchangeStatus, ProposalStatus, RoundStatus
from discovery_service.domain.token_costs import Message, Spent
from discovery_service.engine.dispatch import ring
from discovery_service.engine.events import record
from discovery_service.engine.library import add_candidate
from discovery_service.engine.questions import find_room, find_worst
from discovery_service.engine.spending import can_afford
from discovery_service.engine.work import EXCHANGE
from discovery_service.prompts.brief import Message as Said
from discovery_service.prompts.fitting import fits
from discovery_service.prompts.functions import find_last
from discovery_service.prompts.parse import FailureCode, Reply, ReplyFailure, parse_reply
from discovery_service.prompts.repair import ask_again, tell_failure, tell_refusals

IN_MOTION = (ProposalStatus.QUEUED, ProposalStatus.ASKING)
NOT_AFFORDED = {"code": "budget", "message": "Another question could cost more than the campaign has left."}
NO_ROOM = {"code": "context", "message": "Another question would not fit into the context of the model's profile."}
ROOM = "room_tokens"
"""In the event of a question that was fitted into a model's context: what that left for the prompt."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Row = TypeVar("Row", Exchange, Candidate)


@dataclass
class ProposalCourse:
    """A proposal with all that has come of it, by turn."""

    proposal: Proposal
    exchanges: list[Exchange] = field(default_factory=list)
    candidates: dict[int, Candidate] = field(default_factory=dict)

    @property
    def author(self) -> Author:
        return Author(self.proposal.proposer)

    def find_step(self) -> Step:
        return find_step(self.author, [self._turn(each) for each in self.exchanges])

    def _turn(self, exchange: Exchange) -> Turn:
        candidate = self.candidates.get(exchange.turn)
        if candidate is not None:
            return Turn(exchange.status, has_loss=True, candidate=candidate.status)
        is_read = exchange.status is ExchangeStatus.ANSWERED and exchange.failure is not None
        return Turn(exchange.status, has_loss=False if is_read else None)


def settle_proposals(session: Session, campaign: Campaign, spec: CampaignSpec) -> None:
    """Whatever waits for an answer or for the gate is left alone. The campaign is locked."""
    in_motion = (Round.status == RoundStatus.PROPOSING, Proposal.status.in_(IN_MOTION))
    for course in read_courses(session, Round.campaign_id == campaign.id, *in_motion):
        _settle(session, campaign, spec, course)


def _settle(session: Session, campaign: Campaign, spec: CampaignSpec, course: ProposalCourse) -> None:
    while (step := course.find_step()).next is not Next.WAIT:
        if step.next is Next.READ:
            _read_reply(session, campaign, course)
        elif step.next is Next.END:
            _end(session, campaign, course, step)
            return
        elif (why_not := _ask_again(session, campaign, spec, course, step.turn)) is not None:
            _end(session, campaign, course, step, why_not)
            return


def read_courses(session: Session, *where: ColumnElement[bool]) -> list[ProposalCourse]:
    """In the order of rounds and slots."""
    query = select(Proposal).join(Round, Round.id == Proposal.round_id).where(*where)
    query = query.order_by(Round.number, Proposal.slot)
    proposals = session.scalars(query, execution_options={"populate_existing": True}).all()
    exchanges = _read_of(session, Exchange, proposals)
    candidates = _read_of(session, Candidate, proposals)
    return [
        ProposalCourse(each, exchanges[each.id], {made.turn: made for made in candidates[each.id]})
        for each in proposals
    ]


def _read_of(session: Session, table: type[Row], proposals: Sequence[Proposal]) -> dict[UUID, list[Row]]:
    query = select(table).where(table.proposal_id.in_([each.id for each in proposals])).order_by(table.turn)
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in session.scalars(query, execution_options={"populate_existing": True}):
        found[row.proposal_id].append(row)
    return found


def write_exchange(
    session: Session,
    campaign: Campaign,
    proposal: Proposal,
    *,
    turn: int,
    model: str | None,
    messages: Sequence[Message],
    prompt_version: str | None,
    worst: Spent,
    room: int | None = None,
) -> Exchange:
    """What is to be asked, with what it may cost, before anybody is. The room that the prompt was fitted into, where
    there was one, stays in the event: profiles change, and a replay asks for the same."""
    exchange = Exchange(
        campaign_id=campaign.id,
        proposal_id=proposal.id,
        turn=turn,
        model=model,
        messages=list(messages),
        prompt_version=prompt_version,
        reserved_tokens=worst.tokens,
        reserved_usd=worst.cost_usd,
    )
    session.add(exchange)
    session.flush()
    fitted = {} if room is None else {ROOM: room}
    record(session, campaign.id, f"{EXCHANGE.name}.{ExchangeStatus.QUEUED}", exchange.id, turn=turn, **fitted)
    ring(session, EXCHANGE, exchange.id)
    return exchange


def _ask_again(
    session: Session, campaign: Campaign, spec: CampaignSpec, course: ProposalCourse, turn: int
) -> dict[str, str] | None:
    """With the reason; why not, where the budget or the model's context has no room for it."""
    if turn == 0:
        raise ValueError(f"Proposal {course.proposal.id} was never asked: whoever opens a round asks its proposals.")
    last, author = course.exchanges[-1], course.author
    room = find_room(author, last.model)
    messages = write_repair(course, last, room)
    if messages is None:
        return NO_ROOM
    worst = find_worst(author, last.model, messages)
    if not can_afford(session, campaign.id, spec.budgets, worst):
        return NOT_AFFORDED
    course.exchanges.append(
        write_exchange(
            session,
            campaign,
            course.proposal,
            turn=turn,
            model=last.model,
            messages=messages,
            prompt_version=last.prompt_version,
            worst=worst,
            room=room,
        )
    )
    return None


def write_repair(course: ProposalCourse, last: Exchange, room: int | None) -> list[Message] | None:
    """What goes back after an exchange of which no accepted loss came; nothing to who reads the archive itself.

    Earlier corrections are left out where they do not fit. None where not even the last one does.
    """
    if course.author is Author.SYMBOLIC:
        return []
    told = _tell(last, course.candidates.get(last.turn), left=count_repairs(course.author) - last.turn)
    for before in (last, course.exchanges[0]):
        said = ask_again([Said(**each) for each in before.messages], last.reply or "", told)
        if fits(said, room):
            return [each.document() for each in said]
    return None


def _tell(exchange: Exchange, candidate: Candidate | None, *, left: int) -> str:
    if candidate is None:
        failure = exchange.failure or {}
        return tell_failure(ReplyFailure(FailureCode(failure["code"]), failure["message"]), left=left)
    refusal = candidate.refusal or {}
    return tell_refusals(refusal.get("all") or [refusal], left=left)


def _read_reply(session: Session, campaign: Campaign, course: ProposalCourse) -> None:
    exchange = course.exchanges[-1]
    said = read_loss(exchange.reply or "")
    if isinstance(said, ReplyFailure):
        exchange.failure = show_failure(said)
        record(session, campaign.id, "exchange.unparsable", exchange.id, code=said.code.value)
        session.flush()
        return
    candidate = add_candidate(session, campaign, course.proposal, turn=exchange.turn, **said._asdict())
    course.candidates[exchange.turn] = candidate
    # A recording has seen what its own campaign had, and nothing of this one.
    if course.author is not Author.RECORDED:
        request = Request.of(course.proposal.request)
        # What is drawn is made of its parents alone.
        seen = () if course.author is Author.SYMBOLIC else request.inspirations
        _write_lineage(session, campaign.id, candidate, replace(request, inspirations=seen))


class SaidLoss(NamedTuple):
    """The loss that a reply holds, as its candidate's row has it."""

    name: str
    source: str
    values: dict[str, Any]


def read_loss(reply: str) -> SaidLoss | ReplyFailure:
    parsed = parse_reply(reply)
    if isinstance(parsed, ReplyFailure):
        return parsed
    return SaidLoss(_name(parsed), storable(parsed.code), dict(parsed.values))


def show_failure(failure: ReplyFailure) -> dict[str, Any]:
    return {"code": failure.code.value, "message": failure.message}


def _name(parsed: Reply) -> str:
    return storable(parsed.name or find_last(parsed.code) or "unnamed")


def storable(text: str) -> str:
    """JSON may spell characters that the database refuses; the gate refuses the one that stands for them."""
    return _UNSTORABLE.sub("\ufffd", text)


def _write_lineage(session: Session, campaign_id: UUID, child: Candidate, request: Request) -> None:
    roles = dict.fromkeys(request.inspirations, "inspiration") | dict.fromkeys(request.parents, "parent")
    if not roles:
        return
    query = (
        select(Round.number, Proposal.slot, Candidate.turn, Candidate.id)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign_id, Round.number.in_({each.round for each in roles}))
    )
    keys = {Place(*place): key for *place, key in session.execute(query)}
    session.add_all(Lineage(child_id=child.id, parent_id=keys[place], role=role) for place, role in roles.items())
    session.flush()


def _end(
    session: Session,
    campaign: Campaign,
    course: ProposalCourse,
    step: Step,
    why_not: dict[str, str] | None = None,
) -> None:
    proposal, last = course.proposal, course.exchanges[-1]
    has_loss = last.turn in course.candidates
    outcome = find_outcome(last, has_loss=has_loss)
    code = {} if has_loss else {"code": outcome["code"]}
    # Where it cannot be asked again it ends as it stands.
    proposal.status = step.status or (ProposalStatus.ANSWERED if has_loss else ProposalStatus.UNPARSABLE)
    proposal.outcome = outcome if why_not is None else {**outcome, "not_asked_again": why_not}
    record(session, campaign.id, f"proposal.{proposal.status}", proposal.id, turns=len(course.exchanges), **code)
    session.flush()


def find_outcome(last: Exchange, *, has_loss: bool) -> dict[str, Any]:
    if has_loss:
        parsed = parse_reply(last.reply or "")
        return {"thought": storable(parsed.thought) if isinstance(parsed, Reply) else ""}
    return last.failure or {"code": last.status.value, "message": f"The exchange ended as {last.status}."}

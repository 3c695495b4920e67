"""What a person puts into a search by hand: losses of their own, and rounds as they want them.

Both wait in a round that the engine opens in its turn, so that what it sees depends on closed rounds alone, as ever. A
person's losses have the first places of a round; who else proposes has the rest.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import NOT_BEGUN, Campaign, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.orders import Order
from discovery_service.domain.states import CampaignStatus, ProposalStatus, RoundStatus, is_final
from discovery_service.engine.campaigns import get_campaign
from discovery_service.engine.dispatch import ring_for_step
from discovery_service.engine.events import record
from discovery_service.engine.library import add_candidate
from discovery_service.engine.spending import was_begun
from discovery_service.errors import Conflict, UnusableFields
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import CheckedSource, check_source, tell_unused

MAX_NAME = 100
"""Characters of a function's that become its loss's."""


class Sent(NamedTuple):
    """A loss as a person sends it."""

    name: str | None
    source: str
    notes: str = ""
    values: Mapping[str, float] = MappingProxyType({})
    """Of hyper-parameters that have none in the source."""

    def request(self, name: str, entry: str) -> dict[str, Any]:
        """As it is stored; `entry` is the function that is meant, of several in the source."""
        said = {"name": name, "source": self.source, "notes": self.notes}
        return {**said, "values": dict(self.values), "entry": entry}


def propose(session: Session, campaign_id: UUID, sent: Sent) -> Proposal:
    """A person's loss, which waits for the next round. Conflict where none comes any more, UnusableFields for a text
    that the gate would refuse unread.
    """
    campaign = _get_searching(session, campaign_id)
    proposal = put(session, campaign, sent, at="body")
    ring_for_step(session, campaign.id)
    return proposal


def put(session: Session, campaign: Campaign, sent: Sent, *, at: str) -> Proposal:
    """Into the next round of a campaign that is locked and searches, or is about to. Conflict where none has room.

    `at` is its place in what was sent, for what cannot be used of it.
    """
    spec = CampaignSpec.model_validate(campaign.spec)
    checked = _check_text(spec, sent, at)
    same = _find_same(session, campaign, sent, checked.entry)
    if same is not None:
        raise Conflict(f"The same text was sent already: it has slot {same.slot} of round {same.number}.")
    _check_room(session, campaign, spec)
    made_in, slot = _find_place(session, campaign, spec)
    name = " ".join((sent.name or "").split()) or checked.entry[:MAX_NAME]
    status, request = ProposalStatus.QUEUED, sent.request(name, checked.entry)
    proposal = Proposal(round_id=made_in.id, slot=slot, proposer=Author.HUMAN.value, status=status, request=request)
    session.add(proposal)
    session.flush()
    record(session, campaign.id, f"proposal.{status}", proposal.id, name=name, round=made_in.number)
    return proposal


def was_sent(session: Session, campaign: Campaign, sent: Sent) -> bool:
    """UnusableFields for a text that the gate would refuse unread."""
    spec = CampaignSpec.model_validate(campaign.spec)
    return _find_same(session, campaign, sent, _check_text(spec, sent, "body").entry) is not None


def order_round(session: Session, campaign_id: UUID, order: Order) -> Round:
    """One more that waits, to be as it is wanted. UnusableFields for a proposer that the spec lacks."""
    campaign = _get_searching(session, campaign_id)
    spec = CampaignSpec.model_validate(campaign.spec)
    kinds = [each.kind for each in spec.proposers]
    if order.proposer is not None and order.proposer not in kinds:
        raise UnusableFields({"body.proposer": f"is none of this campaign's spec, which has {', '.join(kinds)}"})
    _check_room(session, campaign, spec)
    made = _add_waiting(session, campaign, order)
    ring_for_step(session, campaign.id)
    return made


def list_waiting(session: Session, made_in: Round) -> Sequence[Proposal]:
    """A person's, in order."""
    query = select(Proposal).where(Proposal.round_id == made_in.id, Proposal.status == ProposalStatus.QUEUED)
    return session.scalars(query.order_by(Proposal.slot)).all()


def list_of_people(session: Session, made_in: Round) -> Sequence[Proposal]:
    """All that it was opened with or that wait for it, whatever became of them."""
    query = select(Proposal).where(Proposal.round_id == made_in.id, Proposal.proposer == Author.HUMAN.value)
    return session.scalars(query.order_by(Proposal.slot)).all()


def begin_waiting(session: Session, campaign: Campaign, proposals: Sequence[Proposal], slots: int) -> None:
    """In a round that opens with so many slots."""
    for proposal in proposals:
        if proposal.slot < slots:
            _send_to_gate(session, campaign, proposal)
        else:
            _send_back(session, campaign.id, proposal, "The budget had no room for it. Raise it, and send it again.")


def drop_waiting(session: Session, made_in: Round, why: str) -> None:
    """Of a round that never opens."""
    for proposal in list_waiting(session, made_in):
        _send_back(session, made_in.campaign_id, proposal, why)


def _send_to_gate(session: Session, campaign: Campaign, proposal: Proposal) -> None:
    """Nobody is asked, and nobody asks again: whoever sent it sends another one."""
    sent = proposal.request
    proposal.status = ProposalStatus.ANSWERED
    proposal.outcome = {"thought": sent["notes"]}
    record(session, campaign.id, f"proposal.{proposal.status}", proposal.id, name=sent["name"])
    add_candidate(session, campaign, proposal, name=sent["name"], source=sent["source"], values=sent.get("values", {}))


def _send_back(session: Session, campaign_id: UUID, proposal: Proposal, why: str) -> None:
    """It has become nothing, and counts nowhere."""
    proposal.status = ProposalStatus.CANCELLED
    proposal.outcome = {"code": NOT_BEGUN, "message": why}
    record(session, campaign_id, f"proposal.{proposal.status}", proposal.id, reason=why)
    session.flush()


def _get_searching(session: Session, campaign_id: UUID) -> Campaign:
    """Locked: whoever ends the search waits, or has ended it."""
    campaign = get_campaign(session, campaign_id, lock=True)
    # Behind a lock that was waited for, this row may be as it was before.
    session.refresh(campaign.progress)
    if campaign.status is CampaignStatus.COMPLETED:
        raise Conflict(
            "The campaign is completed and proposes nothing any more. Extend it, and send this along with that."
        )
    if is_final(campaign.status) or campaign.status is CampaignStatus.CANCELLING:
        raise Conflict(f"The campaign is {campaign.status} and does not go on. Clone it, and send this to the clone.")
    if campaign.progress.search_over_at is not None:
        raise Conflict(
            "The search of this campaign is over, and what it found is being confirmed. Once it is completed extend"
            " it, and send this along with that."
        )
    return campaign


def _check_text(spec: CampaignSpec, sent: Sent, at: str) -> CheckedSource:
    """What shows without running any of it costs nobody a place."""
    try:
        checked = check_source(sent.source, spec.family, name=sent.name, values=sent.values)
    except Refused as refused:
        first, *others = refused.refusals
        line = "" if first.line is None else f" in line {first.line}"
        more = f" ({len(others)} more of the kind)" if others else ""
        raise UnusableFields(
            {f"{at}.source": f"is no loss of this campaign's family{line}: {first.message}{more}"}
        ) from refused
    unused = tell_unused([checked], sent.values)
    if unused is not None:
        raise UnusableFields({f"{at}.hyperparameters": unused})
    return checked


def _find_same(session: Session, campaign: Campaign, sent: Sent, entry: str) -> Any:
    """Number of round and slot of the same text, where it has a place."""
    query = (
        select(Round.number, Proposal.slot)
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign.id, was_begun())
        .where(Proposal.request["source"].astext == sent.source, Proposal.request["values"] == dict(sent.values))
        .where(Proposal.request["entry"].astext == entry)
    )
    return session.execute(query.order_by(Round.number, Proposal.slot).limit(1)).one_or_none()


def _check_room(session: Session, campaign: Campaign, spec: CampaignSpec) -> None:
    """What waits goes first, but whoever is asked already is asked: a place that nothing is left for is none."""
    begun = (
        select(func.count(Proposal.id))
        .join(Round, Round.id == Proposal.round_id)
        .where(Round.campaign_id == campaign.id, Round.number != LIBRARY_ROUND, was_begun())
    )
    if (session.scalar(begun) or 0) >= spec.budgets.candidates:
        raise Conflict(
            f"All {spec.budgets.candidates} candidates of the campaign's budget are begun or wait. Pause it, raise its"
            " budget of candidates, send this again and resume it: what waits goes before what is proposed anew."
        )


def _find_place(session: Session, campaign: Campaign, spec: CampaignSpec) -> tuple[Round, int]:
    """In the first waiting round that has one left."""
    query = (
        select(Round, func.count(Proposal.id))
        .outerjoin(Proposal, Proposal.round_id == Round.id)
        .where(Round.campaign_id == campaign.id, Round.status == RoundStatus.QUEUED)
        .group_by(Round.id)
        .order_by(Round.number)
    )
    for made_in, taken in session.execute(query):
        if taken < Order.of(made_in.ordered).apply(spec).strategy.round_size:
            return made_in, taken
    return _add_waiting(session, campaign, None), 0


def _add_waiting(session: Session, campaign: Campaign, order: Order | None) -> Round:
    last = session.scalar(select(func.max(Round.number)).where(Round.campaign_id == campaign.id))
    number = (LIBRARY_ROUND if last is None else last) + 1
    ordered: dict[str, Any] | None = None if order is None else order.document()
    made = Round(campaign_id=campaign.id, number=number, status=RoundStatus.QUEUED, ordered=ordered)
    session.add(made)
    session.flush()
    record(session, campaign.id, f"round.{RoundStatus.QUEUED}", made.id, number=number, ordered=ordered)
    session.refresh(made)
    return made

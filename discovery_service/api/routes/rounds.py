"""Rounds and proposals: what was asked, answered and measured, and what people put into a search by hand."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, status
from sqlalchemy.orm import Session

from discovery_service.api.dependencies import Proposer, Reader, Unit, Writer, admitted
from discovery_service.api.idempotency import CreateOnce
from discovery_service.api.pagination import DEFAULT_LIMIT, Limit, Page, PageOf, page_of
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.api.schemas.rounds import CandidateCreate, ProposalRead, RoundCreate, RoundDetail, RoundRead
from discovery_service.db.rounds import (
    MadeProposal,
    MadeRound,
    get_round,
    get_round_of,
    list_rounds,
    read_proposal,
    read_round,
)
from discovery_service.db.tables import Round
from discovery_service.engine import by_hand
from discovery_service.engine.arenas import find_search_arena
from discovery_service.engine.campaigns import get_campaign

router = APIRouter(prefix="/v1", responses=problems(*ALWAYS))

_CREATION = problems(404, 408, 409, 413, 429)


@router.post(
    "/campaigns/{campaign_id}/candidates",
    tags=["campaigns"],
    status_code=status.HTTP_201_CREATED,
    response_model=ProposalRead,
    responses={200: {"model": ProposalRead, "description": "The same key was sent before."}, **_CREATION},
    dependencies=[Depends(admitted)],
)
def propose(campaign_id: UUID, body: CandidateCreate, unit: Unit, once: CreateOnce, _: Proposer) -> object:
    """Propose a loss of your own: it has a place in the next round that opens, and is judged like any other."""

    def make() -> ProposalRead:
        made = by_hand.propose(unit, campaign_id, body.sent())
        unit.refresh(made)
        return ProposalRead.of(MadeProposal(made, unit.get_one(Round, made.round_id)))

    return once.make(body, make, lambda made: f"/v1/proposals/{made.id}")


@router.post(
    "/campaigns/{campaign_id}/rounds",
    tags=["rounds"],
    status_code=status.HTTP_201_CREATED,
    response_model=RoundRead,
    responses={200: {"model": RoundRead, "description": "The same key was sent before."}, **_CREATION},
    dependencies=[Depends(admitted)],
)
def create(campaign_id: UUID, body: RoundCreate, unit: Unit, once: CreateOnce, _: Writer) -> object:
    """Have the next round as you want it; it opens in its turn, within the campaign's budgets."""

    def make() -> RoundRead:
        return RoundRead.of(MadeRound(by_hand.order_round(unit, campaign_id, body.order())))

    return once.make(body, make, lambda made: f"/v1/rounds/{made.id}")


@router.get(
    "/campaigns/{campaign_id}/rounds",
    tags=["rounds"],
    name="list",
    response_model=Page[RoundRead],
    responses=problems(404),
)
def list_all(
    campaign_id: UUID,
    unit: Unit,
    _: Reader,
    after: Annotated[UUID | None, Query(description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PageOf[RoundRead]:
    """In the order of their numbers, the library's first."""
    get_campaign(unit, campaign_id)
    found = list_rounds(unit, campaign_id, after=after, limit=limit + 1)
    return page_of([RoundRead.of(each) for each in found], limit)


@router.get("/rounds/{round_id}", tags=["rounds"], response_model=RoundDetail, responses=problems(404))
def read(round_id: UUID, unit: Unit, _: Reader) -> RoundDetail:
    """One round with its proposals, the exchanges and candidates of each, their trainings, and how those stand."""
    made = get_round(unit, round_id)
    return RoundDetail.of(read_round(unit, made, _find_arena(unit, made)))


@router.get(
    "/proposals/{proposal_id}", tags=["proposals"], name="read", response_model=ProposalRead, responses=problems(404)
)
def read_one(proposal_id: UUID, unit: Unit, _: Reader) -> ProposalRead:
    """One proposal with its exchanges and candidates."""
    made_in = get_round_of(unit, proposal_id)
    return ProposalRead.of(read_proposal(unit, proposal_id, _find_arena(unit, made_in)))


def _find_arena(session: Session, made: Round) -> UUID:
    return find_search_arena(session, get_campaign(session, made.campaign_id)).id

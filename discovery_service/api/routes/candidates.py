"""Candidates: a loss with all that is known of it, and the larger parts of that each at an address of its own."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from discovery_service.api.dependencies import Reader, Unit
from discovery_service.api.pagination import Page, PageOf, page_of
from discovery_service.api.schemas.candidates import CandidateDetailRead, CurveRead, GraphRead, SourceRead
from discovery_service.api.schemas.evaluations import EvaluationRead
from discovery_service.api.schemas.lineage import FrontierRead, LineageRead
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.db.candidates import get_candidate, list_evaluations, read_candidate
from discovery_service.db.lineage import read_kin
from discovery_service.domain.families import Family
from discovery_service.domain.states import Purpose
from discovery_service.engine.arenas import choose_arena
from discovery_service.engine.confirm import list_unfinished
from discovery_service.engine.frontiers import read_frontier

router = APIRouter(prefix="/v1/candidates/{candidate_id}", tags=["candidates"], responses=problems(*ALWAYS, 404))

# A training's series are some 10 KB.
DEFAULT_EVALUATIONS, MOST_EVALUATIONS = 20, 50


@router.get("", response_model=CandidateDetailRead)
def read(candidate_id: UUID, unit: Unit, _: Reader) -> CandidateDetailRead:
    """One loss: where it is from, what the gate found or why it refused it, how it stands everywhere, what it cost."""
    return CandidateDetailRead.of(read_candidate(unit, candidate_id))


@router.get("/source", response_model=SourceRead)
def source(candidate_id: UUID, unit: Unit, _: Reader) -> SourceRead:
    """Its source as it was sent and as the gate writes it, each as text and as highlighted HTML."""
    return SourceRead.of(get_candidate(unit, candidate_id, large=("source", "readable_source")).row)


@router.get("/graph", response_model=GraphRead)
def graph(candidate_id: UUID, unit: Unit, _: Reader) -> GraphRead:
    """The graph of tensor operations that it was compiled to, which is what is trained."""
    return GraphRead.of(get_candidate(unit, candidate_id, large=("graph",)).row)


@router.get("/curve", response_model=CurveRead)
def curve(candidate_id: UUID, unit: Unit, _: Reader) -> CurveRead:
    """The loss and its slope by the margin, as the gate measured them, beside those of its family's reference."""
    row, campaign = get_candidate(unit, candidate_id, large=("passport",))
    return CurveRead.of(row, Family(campaign.spec["family"]))


@router.get("/evaluations", response_model=Page[EvaluationRead])
def evaluations(
    candidate_id: UUID,
    unit: Unit,
    _: Reader,
    arena: Annotated[str | None, Query(description="Only those in this one of its campaign's arenas.")] = None,
    purpose: Annotated[list[Purpose], Query(description="Repeat it for one or the other.")] = [],  # noqa: B006
    after: Annotated[UUID | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_EVALUATIONS, description="Items a page.")] = DEFAULT_EVALUATIONS,
) -> PageOf[EvaluationRead]:
    """Its trainings with metrics and series, in the order in which they were asked for."""
    campaign = get_candidate(unit, candidate_id).campaign
    named = None if arena is None else choose_arena(campaign.spec, arena)
    found = list_evaluations(unit, candidate_id, arena=named, purposes=purpose, after=after, limit=limit + 1)
    unfinished = list_unfinished(unit, [each[0].seal_id for each in found])
    return page_of([EvaluationRead.of(*each, unfinished) for each in found], limit)


@router.get("/lineage", response_model=LineageRead)
def lineage(candidate_id: UUID, unit: Unit, _: Reader) -> LineageRead:
    """What it descends from and what descends from it, how each stands, and what changed in the source at each step."""
    row, campaign = get_candidate(unit, candidate_id)
    return LineageRead.of(row.id, read_kin(unit, row, campaign))


@router.get("/frontier", response_model=FrontierRead)
def frontier(
    candidate_id: UUID,
    unit: Unit,
    _: Reader,
    arena: Annotated[str | None, Query(description="One of the held-out arenas instead of that of its search.")] = None,
) -> FrontierRead:
    """What it earns for how far it moves the policy, at each setting that was tried, beside its family's reference."""
    row, campaign = get_candidate(unit, candidate_id)
    return FrontierRead.of(read_frontier(unit, row, choose_arena(campaign.spec, arena)))

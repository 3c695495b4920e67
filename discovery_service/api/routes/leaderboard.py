"""The leaderboard: of one campaign, or of all that was searched in an arena."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from discovery_service.api.boards import CSV_TOO, Board, answer_csv, wants_csv
from discovery_service.api.dependencies import Reader, Unit
from discovery_service.api.pagination import DEFAULT_LIMIT, MAX_LIMIT, Limit
from discovery_service.api.schemas.leaderboard import LeaderboardPage, LeaderboardRead
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.db.leaderboard import Asked, count_refused
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.states import Purpose
from discovery_service.engine.boards import find_board_arena, find_board_arenas, is_searched

router = APIRouter(prefix="/v1", responses=problems(*ALWAYS))

Stage = Annotated[
    Literal["screen", "confirm"] | None,
    Query(description="Only what stands there, ranked by it; else what was confirmed before what was screened."),
]
Against = Annotated[
    str | None,
    Query(description="A loss of one campaign's library, to which differences are shown; else its family's reference."),
]
After = Annotated[str | None, Query(description="The `next` of the page before.")]


@router.get(
    "/leaderboard",
    tags=["leaderboard"],
    name="list",
    response_model=LeaderboardPage,
    responses={200: CSV_TOO, **problems(404)},
)
def list_all(
    request: Request,
    unit: Unit,
    _: Reader,
    campaign: Annotated[list[UUID], Query(description="Repeat it for several; all unless given.")] = [],  # noqa: B006
    arena: Annotated[list[str], Query(description="Repeat it for several; all unless given.")] = [],  # noqa: B006
    stage: Stage = None,
    against: Against = None,
    include: Annotated[
        list[Literal["library"]], Query(description="`library`: the known losses too, as each campaign screened them.")
    ] = [],  # noqa: B006
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> LeaderboardPage | Response:
    """The losses of all campaigns by the lower bound of their difference to their family's reference, in each
    arena by itself.
    """
    arenas = find_board_arenas(unit, campaign, arena)
    asked = Asked(arenas, campaign, stage and Purpose(stage), with_library="library" in include)
    board = Board(unit, asked, against)
    if wants_csv(request):
        return answer_csv(board)
    rows, following = board.read_page(after, limit)
    return LeaderboardPage(data=rows, has_more=following is not None, next=following)


@router.get(
    "/campaigns/{campaign_id}/leaderboard",
    tags=["campaigns"],
    name="leaderboard",
    response_model=LeaderboardRead,
    responses={200: CSV_TOO, **problems(404)},
)
def read(
    campaign_id: UUID,
    request: Request,
    unit: Unit,
    _: Reader,
    arena: Annotated[str | None, Query(description="One of its held-out arenas instead of that of its search.")] = None,
    stage: Stage = None,
    against: Against = None,
    after: After = None,
    limit: Limit = MAX_LIMIT,
) -> LeaderboardRead | Response:
    """Each accepted loss of the campaign, the library's too, by the lower bound of its difference to the reference."""
    where = find_board_arena(unit, campaign_id, arena)
    # What stands nowhere is told where all are shown; in a held-out arena there are finalists alone.
    is_all = stage is None and is_searched(unit, campaign_id, arena)
    reference = REFERENCE_LOSSES[where.family]
    asked = Asked([where], [campaign_id], stage and Purpose(stage), with_unscored=is_all)
    board = Board(unit, asked, None if against == reference else against)
    if wants_csv(request):
        return answer_csv(board)
    rows, following = board.read_page(after, limit)
    return LeaderboardRead(
        campaign_id=campaign_id,
        arena=where.name,
        against=against or reference,
        rows=rows,
        refused=count_refused(unit, campaign_id),
        has_more=following is not None,
        next=following,
    )

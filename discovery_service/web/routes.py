"""The pages: all campaigns, one campaign with its leaderboards, the module of a loss, and where a key is brought."""

import re
from importlib.resources import files
from typing import Annotated
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from discovery_service.api.boards import Board
from discovery_service.api.dependencies import Exporter, Reader, State, Unit
from discovery_service.api.routes import campaigns, exports
from discovery_service.api.schemas.campaigns import CampaignRead
from discovery_service.api.state import ApiState
from discovery_service.db.leaderboard import Asked, count_refused
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.engine.boards import find_board_arena
from discovery_service.engine.exports import find_best, is_discovery
from discovery_service.engine.keys import find_principal
from discovery_service.errors import Forbidden
from discovery_service.web.boards import BoardView, show_board
from discovery_service.web.door import COOKIE, ENTRANCE, LEAVE, STATIC
from discovery_service.web.rendering import render

router = APIRouter(tags=["pages"], include_in_schema=False)

CAMPAIGNS_A_PAGE, LOSSES_A_PAGE = 25, 100
STYLE = files("discovery_service.web") / "static" / "page.css"
# A path of ours: no second slash or backslash, which would make another site of it.
_OWN_PATH = re.compile(r"/(?![/\\])[\w/.-]*", re.ASCII)


@router.get("/", name="home")
def home(unit: Unit, reader: Reader, after: Annotated[UUID | None, Query()] = None) -> HTMLResponse:
    page = campaigns.list_all(unit, reader, after=after, limit=CAMPAIGNS_A_PAGE)
    return HTMLResponse(render("campaigns.html", campaigns=page.data, next=page.next))


@router.get("/campaigns/{campaign_id:uuid}", name="campaign")
def campaign(
    campaign_id: UUID, unit: Unit, reader: Reader, after: Annotated[str | None, Query()] = None
) -> HTMLResponse:
    """`after` pages through the board of its search; in a held-out arena there are no more than its finalists."""
    read = campaigns.read(campaign_id, unit, reader)
    boards = [_read_board(unit, read, read.spec.arena, after)]
    boards += [_read_board(unit, read, each, None) for each in read.spec.held_out_arenas]
    best = find_best(unit, campaign_id)
    values = {
        "refused": count_refused(unit, campaign_id),
        "best": best and best.row,
        "is_confirmed": best is not None and is_discovery(best.row.confirm),
    }
    return HTMLResponse(render("campaign.html", campaign=read, boards=boards, **values))


def _read_board(unit: Session, read: CampaignRead, name: str, after: str | None) -> BoardView:
    is_search = name == read.spec.arena
    arena = find_board_arena(unit, read.id, None if is_search else name)
    asked = Asked([arena], [read.id], with_unscored=is_search)
    rows, following = Board(unit, asked).read_page(after, LOSSES_A_PAGE)
    against = REFERENCE_LOSSES[read.spec.family]
    return show_board(arena.name, against, rows, is_search=is_search, is_first=after is None, following=following)


@router.get("/campaigns/{campaign_id:uuid}/module", name="best_module")
def best_module(
    campaign_id: UUID, unit: Unit, exporter: Exporter, unconfirmed: Annotated[bool, Query()] = False
) -> Response:
    return exports.export_best_module(campaign_id, unit, exporter, unconfirmed=unconfirmed)


@router.get("/candidates/{candidate_id:uuid}/module", name="module")
def module(candidate_id: UUID, unit: Unit, exporter: Exporter) -> Response:
    return exports.export_module(candidate_id, unit, exporter)


@router.get(ENTRANCE, name="entrance")
def entrance(to: Annotated[str, Query()] = "/") -> HTMLResponse:
    return HTMLResponse(render("enter.html", to=_own(to), wrong=False))


@router.post(ENTRANCE, name="enter")
async def enter(request: Request, state: State) -> Response:
    """A key for a cookie, until the browser is closed. Only a form of our own may bring one."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("A key is taken only from this service's own page.")
    sent = parse_qs((await request.body()).decode("utf-8", "replace"))
    key, to = sent.get("key", [""])[0].strip(), _own(sent.get("to", ["/"])[0])
    if not await to_thread.run_sync(_opens, state, key):
        return HTMLResponse(render("enter.html", to=to, wrong=True), status_code=403)
    answer = RedirectResponse(to, status_code=303)
    # What a proxy with TLS passes on is plain here; the browser's own page says how it came.
    is_secure = request.url.scheme == "https" or (origin or "").startswith("https:")
    answer.set_cookie(COOKIE, key, httponly=True, samesite="strict", secure=is_secure)
    return answer


@router.post(LEAVE, name="leave")
def leave() -> Response:
    answer = RedirectResponse(ENTRANCE, status_code=303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@router.get(f"{STATIC}page.css", name="style")
def style() -> Response:
    return Response(STYLE.read_bytes(), media_type="text/css")


def _opens(state: ApiState, key: str) -> bool:
    if not (key.isascii() and key.isprintable()):
        return False
    with state.sessions.begin() as session:
        return find_principal(session, key, state.key_secret) is not None


def _own(path: str) -> str:
    return path if _OWN_PATH.fullmatch(path) else "/"

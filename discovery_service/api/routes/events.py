"""What happened to a campaign, as pages and as a stream that can be resumed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from discovery_service.api.dependencies import Reader, State, Unit
from discovery_service.api.pagination import DEFAULT_LIMIT, Limit, Page, PageOf, page_of
from discovery_service.api.problems import database_problem
from discovery_service.api.schemas.events import EventRead
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.api.state import ApiState
from discovery_service.domain.access import Principal
from discovery_service.engine.campaigns import get_campaign
from discovery_service.engine.events import Cursor, has_pending_events, list_events
from discovery_service.engine.keys import is_valid_key

router = APIRouter(prefix="/v1/campaigns/{campaign_id}/events", tags=["events"], responses=problems(*ALWAYS, 404))

BATCH = 100
# Committed events above the horizon become readable when some other transaction ends, of which no NOTIFY tells.
LOOK_AGAIN_S = 0.25
# Should the listening connection be half-dead, events come late but come; and a revoked key's stream ends.
LOOK_ANYWAY_S = 15.0
# Nothing tells a half-dead proxy from a quiet campaign; clients reconnect with Last-Event-ID and miss nothing.
STREAM_ENDS_AFTER_S = 600.0

After = Annotated[str | None, Query(max_length=39, description='The id of the last event seen, "xid-id".')]


@router.get("", name="list", response_model=Page[EventRead])
def list_all(
    campaign_id: UUID, unit: Unit, _: Reader, after: After = None, limit: Limit = DEFAULT_LIMIT
) -> PageOf[EventRead]:
    """The oldest first. An event may appear a moment after it happened, but never before one already read."""
    get_campaign(unit, campaign_id)
    cursor = Cursor() if after is None else Cursor.parse(after)
    return page_of([EventRead.of(event) for event in list_events(unit, campaign_id, cursor, limit + 1)], limit)


def _start(
    campaign_id: UUID,
    unit: Unit,
    _: Reader,
    after: After = None,
    last_event_id: Annotated[str | None, Header(max_length=39)] = None,
) -> Cursor:
    """Checked before the stream begins, while the answer can still be a problem document."""
    get_campaign(unit, campaign_id)
    given = last_event_id or after
    return Cursor.parse(given) if given else Cursor()


@router.get("/stream", response_class=EventSourceResponse)
async def stream(
    campaign_id: UUID, state: State, reader: Reader, start: Annotated[Cursor, Depends(_start)]
) -> AsyncIterator[ServerSentEvent]:
    """Events as they happen (server-sent events), from the beginning or behind `Last-Event-ID`."""
    cursor, ends_at = start, asyncio.get_running_loop().time() + STREAM_ENDS_AFTER_S
    with state.listener.subscription(campaign_id) as news:
        while not state.stopping.is_set() and asyncio.get_running_loop().time() < ends_at:
            news.clear()
            try:
                look = await to_thread.run_sync(_look, state, reader, campaign_id, cursor, limiter=state.stream_threads)
            except (DBAPIError, PoolTimeout) as error:
                # The client comes back with Last-Event-ID, and is told in the ordinary way if that is too early.
                database_problem(error)
                return
            if look is None:
                return
            events, look_again = look
            for event in events:
                cursor = Cursor.parse(event.id)
                yield ServerSentEvent(data=event, event=event.kind, id=event.id)
            if len(events) < BATCH:
                timeout_s = LOOK_AGAIN_S if look_again else LOOK_ANYWAY_S
                await _first_of(news, state.stopping, timeout_s=timeout_s)


def _look(state: ApiState, reader: Principal, campaign_id: UUID, cursor: Cursor) -> tuple[list[EventRead], bool] | None:
    """The next events, and whether more may appear untold; None when the reader's key was revoked or has expired."""
    with state.stream_sessions() as session:
        if not is_valid_key(session, reader.api_key_id):
            return None
        # Asked first: an event that sinks below the horizon between the two questions is then read, not waited for.
        look_again = has_pending_events(session, campaign_id)
        return [EventRead.of(event) for event in list_events(session, campaign_id, cursor, BATCH)], look_again


async def _first_of(*events: asyncio.Event, timeout_s: float) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=max(timeout_s, 0), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()

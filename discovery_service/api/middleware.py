"""What happens around every request: an id and a log line, the key at the door, its body, and its turn.

Plain ASGI, so that streams pass through untouched.
"""

import asyncio
import re
import time
from uuid import uuid4

import anyio
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from discovery_service.api.metrics import HttpMetrics
from discovery_service.api.problems import database_problem, problem_response
from discovery_service.api.state import state_of
from discovery_service.domain.access import Principal
from discovery_service.engine.keys import find_principal
from discovery_service.errors import BodyTooLarge, RequestTimeout, ServiceError, Unauthorized
from discovery_service.web.door import is_open

log = structlog.get_logger(__name__)

HEALTH_PATH = "/healthz"
BODY_WITHIN_S = 10.0
PUBLIC_PATHS = frozenset({HEALTH_PATH, "/readyz"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Outermost: binds the request id to logs and answer, measures, and answers what nobody foresaw."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        request.state.request_id = request_id
        status: int | None = None
        is_gone = False

        async def receive_noted() -> Message:
            nonlocal is_gone
            message = await receive()
            is_gone = is_gone or message["type"] == "http.disconnect"
            return message

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive_noted, send_with_id)
            except Exception as error:
                if is_gone and _is_cut_stream(error):
                    return
                log.exception("request.failed", path=scope["path"])
                if status is not None:
                    raise
                answer = problem_response(
                    ServiceError(f"The service failed; its log has more under request id {request_id}."),
                    path=scope["path"],
                    request_id=request_id,
                )
                await answer(scope, receive, send_with_id)
            finally:
                seconds, method = time.perf_counter() - started, scope["method"]
                route = getattr(scope.get("route"), "path", "unmatched")
                # 499: the client left before it had an answer.
                noted = status or (499 if is_gone else 500)
                self.metrics.observe(method=method, route=route, status=noted, seconds=seconds)
                log.info("request", method=method, path=scope["path"], status=status, seconds=round(seconds, 4))


def _is_cut_stream(error: Exception) -> bool:
    """What FastAPI's event stream raises when the client leaves while a batch is under way; nobody's failure."""
    if isinstance(error, ExceptionGroup):
        return all(_is_cut_stream(each) for each in error.exceptions)
    return isinstance(error, anyio.BrokenResourceError)


class WholeBody:
    """Reads the body before anything else waits for it: up to a size, within a time.

    So that a client that falls asleep in the middle of its request holds nothing but its own connection.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, within_s: float = BODY_WITHIN_S) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            async with asyncio.timeout(self.within_s):
                body = await self._read(request, receive)
        except TimeoutError:
            await self._refuse(RequestTimeout(f"The body did not arrive within {self.within_s:.0f} s."), request, send)
        except BodyTooLarge as error:
            await self._refuse(error, request, send)
        except ClientDisconnect:
            return
        else:
            await self.app(scope, _first_then(body, receive), send)

    async def _read(self, request: Request, receive: Receive) -> bytes:
        """By its declared length, if that is too much; one that lies or declares none is cut off."""
        declared = request.headers.get("content-length", "")
        too_large = BodyTooLarge(f"The body may have at most {self.max_bytes:,} bytes.")
        if declared.isdecimal() and int(declared) > self.max_bytes:
            raise too_large
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > self.max_bytes:
                raise too_large
            if not message.get("more_body", False):
                return bytes(body)

    async def _refuse(self, error: ServiceError, request: Request, send: Send) -> None:
        answer = problem_response(error, path=request.url.path, request_id=request.state.request_id)
        await answer(request.scope, _nothing, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _first_then(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def receive_body() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body


class Admission:
    """Lets in as many requests at once as there are database connections; the others wait without a thread.

    Otherwise requests that hold a connection and need a thread, and requests that hold a thread and need a
    connection, wait for each other: with 80 clients at once all of them, and health, stood still for 30 s.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == HEALTH_PATH:
            await self.app(scope, receive, send)
            return
        places = state_of(Request(scope)).places
        await places.acquire()
        is_held = True

        def leave() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                places.release()

        # A route that waits for somebody else leaves before it does.
        scope["state"]["leave_place"] = leave

        async def send_and_leave(message: Message) -> None:
            # Its transaction is over by then; a stream looks into the database on connections of its own.
            leave()
            await send(message)

        try:
            await self.app(scope, receive, send_and_leave)
        finally:
            leave()


class KeyAtTheDoor:
    """Looks at the API key before anything else is done for a request; without one only health answers, and the page
    to which a browser brings one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PUBLIC_PATHS or is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            async with state_of(request).places:
                request.state.principal = await run_in_threadpool(_authenticate, request)
        except ServiceError as error:
            answer = problem_response(error, path=request.url.path, request_id=request.state.request_id)
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _authenticate(request: Request) -> Principal:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("Send an API key: `Authorization: Bearer dls_…`.")
    state = state_of(request)
    try:
        with state.sessions.begin() as session:
            principal = find_principal(session, token.strip(), state.key_secret)
    except Exception as error:
        raise database_problem(error) from error
    if principal is None:
        raise Unauthorized(
            "This API key is mistyped, unknown, expired or revoked. Use another one; `discovery keys create` makes it."
        )
    return principal

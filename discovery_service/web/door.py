"""A browser at the door: its cookie stands for the key, and whatever is refused becomes a page.

The cookie opens pages alone. No route of the API takes it, so that no other site can have a browser change anything.
"""

import json
from collections.abc import Iterable
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from discovery_service.web.rendering import render

COOKIE = "discovery_key"
ENTRANCE, LEAVE, STATIC = "/enter", "/leave", "/static/"
OPEN_PATHS = (ENTRANCE, LEAVE)
_PAGES = ("/campaigns/", "/candidates/")
HEADERS = {
    # Nothing but our own style sheet: no script, no picture, no frame, no form to anywhere else.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With less a browser would call the origin of our own form null (Fetch, "append a request Origin header").
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_open(path: str) -> bool:
    """Whether a browser may see it without a key."""
    return path in OPEN_PATHS or path.startswith(STATIC)


def is_page(path: str) -> bool:
    return path == "/" or path.startswith(_PAGES) or is_open(path)


class BrowserAtTheDoor:
    """Outside of the key's door: hands on the cookie's key, and turns problem documents into pages."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_page(scope["path"]):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        answer = _Answer(request, send)
        # Only the cookie counts: a page is for browsers, which send no such header by themselves.
        kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
        key = request.cookies.get(COOKIE)
        bearer = [] if key is None else [(b"authorization", f"Bearer {key}".encode("latin-1", "replace"))]
        await self.app({**scope, "headers": [*kept, *bearer]}, receive, answer.send)


class _Answer:
    def __init__(self, request: Request, send: Send) -> None:
        self._request, self._send = request, send
        self._problem: bytearray | None = None
        self._status, self._headers = 200, MutableHeaders()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._headers = MutableHeaders(raw=list(message["headers"]))
            self._status = message["status"]
            if self._headers.get("content-type", "").startswith("application/problem+json"):
                self._problem = bytearray()
                return
            await self._send({**message, "headers": [*message["headers"], *_encoded(HEADERS.items())]})
        elif self._problem is None:
            await self._send(message)
        else:
            self._problem += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_page(bytes(self._problem))

    async def _send_page(self, body: bytes) -> None:
        """Whoever has no key that opens is shown where to bring one."""
        problem = json.loads(body)
        page: Response
        if self._status == 401:
            page = RedirectResponse(f"{ENTRANCE}?to={quote(self._request.url.path, safe='/')}", status_code=303)
        else:
            page = HTMLResponse(render("problem.html", problem=problem), status_code=self._status)
        page.headers.update(HEADERS)
        if "retry-after" in self._headers:
            page.headers["Retry-After"] = self._headers["retry-after"]

        async def nothing() -> Message:
            return {"type": "http.disconnect"}

        await page(self._request.scope, nothing, self._send)


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]

"""`Idempotency-Key` on creation: the same request makes one thing (draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response, status
from pydantic import BaseModel
from sqlalchemy import func, select

from discovery_service.api.dependencies import Unit
from discovery_service.db.tables import Idempotency
from discovery_service.errors import IdempotencyConflict, IdempotencyMismatch


class Once:
    """Makes a thing, or answers what was made under the same key: 201 the first time, 200 from then on."""

    def __init__(
        self,
        session: Unit,
        request: Request,
        response: Response,
        idempotency_key: Annotated[
            str | None,
            Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", description="Yours; kept for 24 hours."),
        ] = None,
    ) -> None:
        self._session = session
        self._request = request
        self._response = response
        self._key = idempotency_key

    def make(self, asked: BaseModel | None, make: Callable[[], BaseModel], location: Callable[[Any], str]) -> Any:
        """`make` runs at most once a key; `location` names what it made."""
        if self._key is None:
            made = make()
            self._response.headers["Location"] = location(made)
            return made
        owner, route = self._request.state.principal.api_key_id, self._request.url.path
        if not self._session.scalar(_try_lock(f"{owner} {route} {self._key}")):
            raise IdempotencyConflict("A request with this Idempotency-Key still runs; ask again in a moment.")
        digest = _digest(asked)
        seen = self._session.get(Idempotency, (owner, route, self._key))
        if seen is not None:
            return self._replay(seen, digest)
        made = make()
        self._response.headers["Location"] = location(made)
        self._session.add(
            Idempotency(
                api_key_id=owner,
                route=route,
                key=self._key,
                request_sha256=digest,
                location=location(made),
                body=made.model_dump(mode="json"),
            )
        )
        return made

    def _replay(self, seen: Idempotency, digest: str) -> dict[str, Any]:
        if seen.request_sha256 != digest:
            raise IdempotencyMismatch("This Idempotency-Key came with another body before; use a fresh one.")
        self._response.status_code = status.HTTP_200_OK
        self._response.headers["Location"] = seen.location or ""
        return seen.body


CreateOnce = Annotated[Once, Depends()]


def _try_lock(name: str) -> Any:
    """Held to the end of the transaction; a crash frees it, so that no key is stuck half-used."""
    return select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))


def _digest(asked: BaseModel | None) -> str:
    body = None if asked is None else asked.model_dump(mode="json")
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

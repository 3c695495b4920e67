"""The errors a person can be told: whose fault it is, under a stable slug, with what to do next."""

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """An error that leaves the service as a problem document (RFC 9457)."""

    status = 500
    slug = "internal"
    title = "The service failed"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers
        self.extra = extra


class NotFound(ServiceError):
    status, slug, title = 404, "not_found", "There is no such thing"


class Unauthorized(ServiceError):
    status, slug, title = 401, "unauthorized", "A valid API key is needed"


class Forbidden(ServiceError):
    status, slug, title = 403, "forbidden", "The API key lacks the scope"


class Conflict(ServiceError):
    status, slug, title = 409, "conflict", "The state does not allow this"


class IllegalTransition(Conflict):
    slug = "illegal_transition"


class IdempotencyConflict(Conflict):
    slug, title = "idempotency_in_progress", "The same request is still running"


class Unprocessable(ServiceError):
    status, slug, title = 422, "unprocessable", "The request cannot be used"


class UnusableFields(Unprocessable):
    """Like `Unprocessable`, and each field is named with what is wrong with it, as a dotted path from the body."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(f"These fields cannot be used: {', '.join(fields)}.")
        self.fields = fields


class IdempotencyMismatch(Unprocessable):
    slug, title = "idempotency_mismatch", "The key was used for another request"


class BodyTooLarge(ServiceError):
    status, slug, title = 413, "body_too_large", "The body is too large"


class RequestTimeout(ServiceError):
    status, slug, title = 408, "request_timeout", "The request took too long to arrive"


class TooManyRequests(ServiceError):
    status, slug, title = 429, "too_many_requests", "Too many requests"


class Unavailable(ServiceError):
    status, slug, title = 503, "unavailable", "Something that the service needs is away"


class UsageError(Exception):
    """Something that the person at the terminal can mend; the command ends with exit code 2."""

"""What can go wrong with a request: no connection, an answer that is none of ours, or a problem that the API tells."""

from typing import Any

import httpx2
from pydantic import ValidationError

from discovery_service.client.models import FieldError, Model

PASSING_STATUSES = frozenset({429, 502, 503, 504})
PASSING_SLUGS = frozenset({"idempotency_in_progress"})


class DiscoveryError(Exception):
    """Everything that this package raises about the service."""

    is_passing = False
    """Whether the same request may well succeed in a moment."""
    retry_after_s = 0.0
    """What the service asked to wait before that."""
    lost_answers = 0
    """How often the request was sent before without an answer; one of those may have done its work unheard."""


class ConnectionFailed(DiscoveryError):
    """The service was not reached, or did not finish its answer."""

    is_passing = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"No answer from {url}: {reason}.")
        self.url = url


class UnexpectedAnswer(DiscoveryError):
    """Something answered, but not in the words of this API: another service, or a version too far away."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} does not answer like a discovery service ({reason}). Is this the right URL?")
        self.url = url


class ApiError(DiscoveryError):
    """The service refused or failed, and says why."""

    def __init__(self, response: httpx2.Response, problem: "Problem") -> None:
        super().__init__("; ".join([problem.detail, *(f"{each.field}: {each.message}" for each in problem.errors)]))
        self.status = response.status_code
        self.slug = problem.type.rpartition(":")[2]
        self.title = problem.title
        self.detail = problem.detail
        self.errors = problem.errors
        """The fields that cannot be used, with what is allowed."""
        self.request_id = problem.request_id
        """Names the request in the service's log."""
        self.problem: dict[str, Any] = problem.model_dump(mode="json", exclude_unset=True)
        """The problem document as it came, with fields that only some problems have."""
        self.body = response.content
        self.is_passing = self.status in PASSING_STATUSES or self.slug in PASSING_SLUGS
        wait = response.headers.get("retry-after", "")
        self.retry_after_s = float(wait) if wait.isdecimal() else 0.0


class Unauthorized(ApiError):
    """The API key is mistyped, unknown, expired or revoked."""


class Forbidden(ApiError):
    """The API key lacks the scope."""


class NotFound(ApiError):
    """There is no such thing, or no longer."""


class Conflict(ApiError):
    """The state of the thing does not allow this now."""


class Unprocessable(ApiError):
    """The request cannot be used; `errors` names each field."""


class TooManyRequests(ApiError):
    """More than this API key may send in a minute."""


class Unavailable(ApiError):
    """Something that the service needs is away."""


BY_STATUS = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Unprocessable,
    429: TooManyRequests,
    503: Unavailable,
}


class Problem(Model):
    """The document of RFC 9457 that every error of the API is."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()


def api_error(response: httpx2.Response) -> ApiError:
    """The error that an answer tells; its body must have been read."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = _problem_of_stranger(response)
    return BY_STATUS.get(response.status_code, ApiError)(response, problem)


def _problem_of_stranger(response: httpx2.Response) -> Problem:
    """A proxy in between answers in words of its own."""
    status = response.status_code
    return Problem(
        type=f"urn:discovery:problem:http_{status}",
        title=response.reason_phrase,
        status=status,
        detail=f"{response.url} answered {status} {response.reason_phrase}, without a problem document.",
        request_id=response.headers.get("x-request-id"),
    )

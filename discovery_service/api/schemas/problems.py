"""The problem document (RFC 9457) that every error of the API is."""

from typing import Any

from fastapi import status
from pydantic import BaseModel, ConfigDict

PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEM_SCHEMA = "#/components/schemas/Problem"


class FieldError(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"field": "body.spec.arena", "message": "names no arena; there are plain:mini, plain:base"}]
        }
    )

    field: str
    message: str


class Problem(BaseModel):
    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:discovery:problem:not_found",
                    "title": "There is no such thing",
                    "status": 404,
                    "detail": "There is no campaign 019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e.",
                    "instance": "/v1/campaigns/019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e",
                    "request_id": "019aa0b06f7e7c3a9d550d5a3f3f3b1e",
                    "errors": [],
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError]


_MEANINGS = {
    401: "A valid API key is needed.",
    403: "The key lacks the scope.",
    404: "There is no such thing.",
    408: "The body took too long to arrive.",
    409: "The state does not allow this.",
    413: "The body is too large.",
    422: "The request cannot be used; `errors` names each field.",
    429: "Too many requests under this key; see `Retry-After`.",
    500: "The service failed.",
    503: "Something that the service needs is away; see `Retry-After`.",
}

ALWAYS = (
    status.HTTP_401_UNAUTHORIZED,
    status.HTTP_403_FORBIDDEN,
    status.HTTP_422_UNPROCESSABLE_CONTENT,
    status.HTTP_500_INTERNAL_SERVER_ERROR,
    status.HTTP_503_SERVICE_UNAVAILABLE,
)


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: its problems, as problem documents."""
    return {
        code: {
            "description": _MEANINGS[code],
            "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": PROBLEM_SCHEMA}}},
        }
        for code in sorted(codes)
    }

"""Turns every error into a problem document: ours, FastAPI's, the database's, and the unforeseen."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import OperationalError
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from discovery_service.api.schemas.problems import PROBLEM_MEDIA_TYPE, FieldError, Problem
from discovery_service.domain.campaign import MAX_ERRORS
from discovery_service.errors import ServiceError, Unavailable, Unprocessable, UnusableFields

log = structlog.get_logger(__name__)


class ProblemResponse(JSONResponse):
    media_type = PROBLEM_MEDIA_TYPE


def problem_response(
    error: ServiceError,
    *,
    path: str,
    request_id: str,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    problem = Problem(
        type=f"urn:discovery:problem:{error.slug}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=path,
        request_id=request_id,
        errors=errors or [],
        **error.extra,
    )
    sent = dict(headers or {})
    if error.status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        sent.setdefault("Retry-After", "5")
    return ProblemResponse(problem.model_dump(mode="json"), status_code=error.status, headers=sent)


def _answer(request: Request, error: ServiceError, **kwargs: Any) -> ProblemResponse:
    return problem_response(error, path=request.url.path, request_id=request.state.request_id, **kwargs)


async def _on_service_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, ServiceError)
    fields = error.fields if isinstance(error, UnusableFields) else {}
    errors = [FieldError(field=field, message=message) for field, message in fields.items()]
    return _answer(request, error, errors=errors, headers=error.headers)


async def _on_validation_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    errors = [_field_error(each) for each in error.errors()[:MAX_ERRORS]]
    fields = ", ".join(dict.fromkeys(each.field for each in errors))
    return _answer(request, Unprocessable(f"These fields cannot be used: {fields}."), errors=errors)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    field, message = ".".join(map(str, error["loc"])), error["msg"]
    if error["type"] == "json_invalid":
        field, message = "body", f"is no JSON: {error['ctx']['error']}"
    elif field == "body" and error["type"] in ("dict_type", "model_type", "model_attributes_type"):
        message = "must be a JSON object, sent with `Content-Type: application/json`"
    return FieldError(field=_printable(field), message=_printable(message))


async def _on_http_exception(request: Request, error: Exception) -> ProblemResponse:
    """What Starlette raises itself: no such route, a method that the route lacks, an unreadable body."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for bytes that are no UTF-8
        return _answer(request, Unprocessable("The body cannot be read; send JSON in UTF-8."))
    status = HTTPStatus(error.status_code)
    is_bare = error.detail == status.phrase
    problem = ServiceError(f"{status.description or status.phrase}." if is_bare else str(error.detail))
    problem.status, problem.slug, problem.title = status.value, status.name.lower(), status.phrase
    headers = {"Allow": _allowed_methods(request)} if status is HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    return _answer(request, problem, headers=headers)


def _allowed_methods(request: Request) -> str:
    """All of them; Starlette names only those of the first route with the path."""
    routes = request.app.routes
    return ", ".join(
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    )


async def _on_database_error(request: Request, error: Exception) -> ProblemResponse:
    return _answer(request, database_problem(error))


def database_problem(error: Exception) -> ServiceError:
    """A lost connection is the database being away; anything else is a fault of ours and goes on as it is."""
    is_away = isinstance(error, PoolTimeout) or (
        isinstance(error, DBAPIError) and (error.connection_invalidated or isinstance(error.orig, OperationalError))
    )
    if not is_away:
        raise error
    log.warning("database.away", error=str(error))
    if isinstance(error, DBAPIError) and isinstance(error.orig, LockNotAvailable):
        return Unavailable("Something else changes the same thing just now. Try again in a few seconds.")
    return Unavailable("The database cannot be reached just now. Try again in a few seconds.")


def _printable(text: str) -> str:
    """JSON may carry lone surrogates, which no answer can be encoded with."""
    return text.encode("utf-8", "replace").decode()


def install_problems(app: FastAPI) -> None:
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(DBAPIError, _on_database_error)
    app.add_exception_handler(PoolTimeout, _on_database_error)

"""Is it alive, is it ready, and what does it measure."""

from collections.abc import Sequence
from typing import Literal

import structlog
from fastapi import APIRouter, Request, Response, Security, status
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from discovery_service.api.dependencies import State
from discovery_service.api.schemas.problems import problems
from discovery_service.api.schemas.service import Health, Readiness
from discovery_service.api.state import ApiState
from discovery_service.engine.workers import list_isolation
from discovery_service.version import VERSION

log = structlog.get_logger(__name__)

router = APIRouter(tags=["service"])


@router.get("/healthz", response_model=Health, responses=problems(500))
async def health() -> Health:
    """The process answers. Looks at nothing else, so that a blip elsewhere restarts no container."""
    return Health(status="ok", version=VERSION)


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={
        503: {"model": Readiness, "description": "The database is away or its schema is behind."},
        **problems(500),
    },
)
def readiness(state: State, response: Response) -> Readiness:
    """Whether requests can be served: the database, its schema, the broker."""
    database, revision, jail = _look_at_database(state)
    broker: Literal["ok", "away"] = "ok" if state.bell.is_heard() else "away"
    if database in ("behind", "away"):
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Readiness(status="unavailable", database=database, schema_revision=revision, broker=broker, jail=jail)
    readiness: Literal["ready", "degraded"] = "ready" if broker == "ok" else "degraded"
    return Readiness(status=readiness, database=database, schema_revision=revision, broker=broker, jail=jail)


JailLevel = Literal["full", "seccomp", "unavailable"]


def _look_at_database(
    state: ApiState,
) -> tuple[Literal["ok", "newer", "behind", "away"], str | None, JailLevel | None]:
    # Loaded here because it brings Alembic, .4 s of import, which nothing else in the API needs.
    from discovery_service.db.migrate import compare_schema, find_revision

    try:
        with state.sessions() as session:
            revision = find_revision(session)
            schema = compare_schema(revision)
            # A fleet is migrated before its new version starts: on a newer schema the old one goes on meanwhile.
            jail = None if schema == "behind" else _weakest(list_isolation(session))
            return schema, revision, jail
    except (DBAPIError, PoolTimeout) as error:
        log.warning("readiness.database_away", error=str(error))
        return "away", None, None


def _weakest(levels: Sequence[str]) -> JailLevel | None:
    weakest_first: tuple[JailLevel, ...] = ("unavailable", "seccomp", "full")
    return next((level for level in weakest_first if level in levels), None)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}, **problems(401, 500, 503)},
    dependencies=[Security(HTTPBearer(auto_error=False))],
)
def metrics(request: Request) -> Response:
    """Prometheus metrics of this process and of the pipeline."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)

"""Builds the application: state for its lifetime, middleware, routes, and an OpenAPI document that tells the truth."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

from discovery_service.api.listener import Listener
from discovery_service.api.metrics import HttpMetrics, PipelineMetrics
from discovery_service.api.middleware import Admission, KeyAtTheDoor, RequestContext, WholeBody
from discovery_service.api.problems import install_problems
from discovery_service.api.rate import CreationRate
from discovery_service.api.routes import (
    arenas,
    campaigns,
    candidates,
    evaluations,
    events,
    exports,
    keys,
    leaderboard,
    losses,
    rounds,
    service,
    workers,
)
from discovery_service.api.schemas.losses import CheckRead
from discovery_service.api.schemas.problems import FieldError, Problem
from discovery_service.api.state import ApiState
from discovery_service.db.sessions import make_sessions, max_connections
from discovery_service.settings import Settings, required
from discovery_service.version import VERSION
from discovery_service.web import routes as pages
from discovery_service.web.door import BrowserAtTheDoor

TAGS = [
    {"name": "losses", "description": "What a loss may ask for, and the losses that are known."},
    {"name": "arenas", "description": "Where losses are compared: data, base policies, training and metrics."},
    {"name": "campaigns", "description": "A search with a family, an arena, a strategy and a budget."},
    {"name": "rounds", "description": "Proposals made from one snapshot of what is known, and what came of them."},
    {"name": "proposals", "description": "A place in a round: what was asked and answered, and what came of it."},
    {
        "name": "candidates",
        "description": "A loss: its source, what the gate found, its relatives, how it stands.",
    },
    {"name": "evaluations", "description": "One training of a loss, what was measured, or why it was not."},
    {
        "name": "leaderboard",
        "description": "How losses stand to their family's reference, and what is confirmed.",
    },
    {"name": "events", "description": "What happened to a campaign, in order, never skipping one."},
    {"name": "workers", "description": "The fleet: who takes which work, on which devices."},
    {"name": "keys", "description": "API keys and their scopes."},
    {"name": "service", "description": "Health, readiness, metrics."},
]

RESOURCES = (losses, arenas, campaigns, rounds, candidates, exports, evaluations, events, workers, keys, service)

# Somebody waits for the answer, and may try again; a worker has more patience.
LOCK_TIMEOUT_S = 3.0


def _operation_id(route: APIRoute) -> str:
    """`campaigns_create`: stable, because it is made of what the SDK calls it."""
    return f"{route.tags[0]}_{route.name}"


def create_app(settings: Settings) -> FastAPI:
    from discovery_service.engine.bell import make_bell  # brings Celery: .15 s that an import of the API does not need

    url = required(settings.db.url, "DISCOVERY__DB__URL")
    sessions = make_sessions(url, pool_size=settings.db.pool_size, lock_timeout_s=LOCK_TIMEOUT_S)
    stream_sessions = make_sessions(url, pool_size=2)
    state = ApiState(
        settings=settings,
        key_secret=required(settings.api.key_secret, "DISCOVERY__API__KEY_SECRET"),
        sessions=sessions,
        places=asyncio.Semaphore(max_connections(sessions)),
        stream_sessions=stream_sessions,
        stream_threads=CapacityLimiter(max_connections(stream_sessions)),
        bell=make_bell(required(settings.redis.url, "DISCOVERY__REDIS__URL")),
        listener=Listener(url),
        creation_rate=CreationRate(settings.api.creations_per_minute),
    )
    registry = CollectorRegistry()
    http_metrics = HttpMetrics(registry)
    registry.register(PipelineMetrics(sessions))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        listening = asyncio.create_task(state.listener.run())
        yield
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        for each in (sessions, stream_sessions):
            each.kw["bind"].dispose()

    app = FastAPI(
        title="Objective discovery",
        version=VERSION,
        lifespan=lifespan,
        openapi_tags=TAGS,
        generate_unique_id_function=_operation_id,
        docs_url=None,  # its page loads scripts from elsewhere, and is blank on a machine without the internet
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.api = state
    app.state.registry = registry
    install_problems(app)
    pipeline = (losses, arenas, campaigns, rounds, candidates, evaluations, leaderboard, exports)
    for resource in (*pipeline, events, workers, keys, service, pages):
        app.include_router(resource.router)
    # The last one added is the first that a request meets.
    app.add_middleware(Admission)
    app.add_middleware(WholeBody, max_bytes=settings.api.max_body_bytes)
    app.add_middleware(KeyAtTheDoor)
    app.add_middleware(RequestContext, metrics=http_metrics)
    app.add_middleware(BrowserAtTheDoor)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, and the schema of problems, which it does not see because handlers send them."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes, tags=app.openapi_tags)
        schemas = document["components"]["schemas"]
        for model in (FieldError, Problem):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schema.pop("$defs", None)
            schemas[model.__name__] = schema
        # FastAPI leaves null out of examples, where a field that may be null has to be there.
        schemas[CheckRead.__name__]["examples"] = CheckRead.model_json_schema()["examples"]
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        app.openapi_schema = document
    return app.openapi_schema

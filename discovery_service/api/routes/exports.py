"""Exports: a loss as one Python file that needs only torch."""

import hashlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from discovery_service.api.dependencies import Exporter, Unit
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.engine import exports as engine

router = APIRouter(prefix="/v1", responses=problems(*ALWAYS))

MEDIA_TYPE = "text/x-python"
_MODULE: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "The file; its ETag is its SHA-256."},
    304: {"description": "It is what `If-None-Match` names."},
    **problems(404, 409),
}
IfNoneMatch = Annotated[str | None, Header(description="The ETag of the file that is there already.")]


@router.get(
    "/candidates/{candidate_id:uuid}/export/module",
    tags=["candidates"],
    name="export_module",
    response_class=Response,
    responses=_MODULE,
)
def export_module(candidate_id: UUID, unit: Unit, _: Exporter, if_none_match: IfNoneMatch = None) -> Response:
    """A loss as one Python file that needs only torch. One that nothing confirmed says so loudly."""
    return _answer(engine.export_candidate(unit, candidate_id), if_none_match)


@router.get(
    "/campaigns/{campaign_id}/best/export/module",
    tags=["campaigns"],
    name="export_best_module",
    response_class=Response,
    responses=_MODULE,
)
def export_best_module(
    campaign_id: UUID,
    unit: Unit,
    _: Exporter,
    unconfirmed: Annotated[
        bool, Query(description="Where nothing is confirmed take the best finalist, else the best screened loss.")
    ] = False,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The confirmed discovery with the highest lower bound; never a loss of the library.

    Where there is none the problem `no_confirmed_discovery` tells how the best of the others stands.
    """
    return _answer(engine.export_best(unit, campaign_id, is_unconfirmed_taken=unconfirmed), if_none_match)


def _answer(module: str, if_none_match: str | None) -> Response:
    content = module.encode()
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    named = [each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")]
    if etag in named or "*" in named:
        return Response(status_code=304, headers={"ETag": etag})
    disposition = 'attachment; filename="discovered_loss.py"'
    return Response(content, media_type=MEDIA_TYPE, headers={"ETag": etag, "Content-Disposition": disposition})

"""Exports: a loss as one Python file that needs only torch, or as a bundle of it with what surrounds it."""

import hashlib
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from discovery_service.api.dependencies import Exporter, Unit
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.engine import exports as engine

router = APIRouter(prefix="/v1", responses=problems(*ALWAYS))


class Form(NamedTuple):
    media_type: str
    filename: str

    def describe(self) -> dict[int | str, dict[str, Any]]:
        binary = {"schema": {"type": "string"} | ({"format": "binary"} if self == BUNDLE else {})}
        return {
            200: {"content": {self.media_type: binary}, "description": "The file; its ETag is its SHA-256."},
            304: {"description": "It is what `If-None-Match` names."},
            **problems(404, 409),
        }


MODULE = Form("text/x-python", "discovered_loss.py")
BUNDLE = Form("application/zip", "discovered_loss.zip")

IfNoneMatch = Annotated[str | None, Header(description="The ETag of the file that is there already.")]
Unconfirmed = Annotated[
    bool, Query(description="Where nothing is confirmed take the best finalist, else the best screened loss.")
]


@router.get(
    "/candidates/{candidate_id:uuid}/export/module",
    tags=["candidates"],
    name="export_module",
    response_class=Response,
    responses=MODULE.describe(),
)
def export_module(candidate_id: UUID, unit: Unit, _: Exporter, if_none_match: IfNoneMatch = None) -> Response:
    """A loss as one Python file that needs only torch. One that nothing confirmed says so loudly."""
    candidate = engine.get_exportable(unit, candidate_id)
    return _answer(MODULE, engine.export_module(unit, candidate), if_none_match)


@router.get(
    "/candidates/{candidate_id:uuid}/export/bundle",
    tags=["candidates"],
    name="export_bundle",
    response_class=Response,
    responses=BUNDLE.describe(),
)
def export_bundle(candidate_id: UUID, unit: Unit, _: Exporter, if_none_match: IfNoneMatch = None) -> Response:
    """The same file in a zip, with a trainer for TRL where the loss is one of pairs, a test that finds every byte that
    is changed later, a recipe, and where it comes from.
    """
    candidate = engine.get_exportable(unit, candidate_id)
    return _answer(BUNDLE, engine.export_bundle(unit, candidate), if_none_match)


@router.get(
    "/campaigns/{campaign_id}/best/export/module",
    tags=["campaigns"],
    name="export_best_module",
    response_class=Response,
    responses=MODULE.describe(),
)
def export_best_module(
    campaign_id: UUID,
    unit: Unit,
    _: Exporter,
    unconfirmed: Unconfirmed = False,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The confirmed discovery with the highest lower bound; never a loss of the library.

    Where there is none the problem `no_confirmed_discovery` tells how the best of the others stands.
    """
    candidate = engine.get_best(unit, campaign_id, is_unconfirmed_taken=unconfirmed)
    return _answer(MODULE, engine.export_module(unit, candidate), if_none_match)


@router.get(
    "/campaigns/{campaign_id}/best/export/bundle",
    tags=["campaigns"],
    name="export_best_bundle",
    response_class=Response,
    responses=BUNDLE.describe(),
)
def export_best_bundle(
    campaign_id: UUID,
    unit: Unit,
    _: Exporter,
    unconfirmed: Unconfirmed = False,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The bundle of the confirmed discovery with the highest lower bound, refused where its module is."""
    candidate = engine.get_best(unit, campaign_id, is_unconfirmed_taken=unconfirmed)
    return _answer(BUNDLE, engine.export_bundle(unit, candidate), if_none_match)


def _answer(form: Form, content: bytes, if_none_match: str | None) -> Response:
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    named = [each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")]
    if etag in named or "*" in named:
        return Response(status_code=304, headers={"ETag": etag})
    disposition = f'attachment; filename="{form.filename}"'
    return Response(content, media_type=form.media_type, headers={"ETag": etag, "Content-Disposition": disposition})

"""Arenas: the built-in ones, and those that an operator registers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response, status

from discovery_service.api.dependencies import Admin, Reader, Unit, admitted
from discovery_service.api.schemas.arenas import ArenaCalibration, ArenaCreate, ArenaList, ArenaRead
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.db.queries import find_operators_arena, list_operators_arenas
from discovery_service.db.tables import Arena
from discovery_service.domain.arenas import ARENAS, arena_names
from discovery_service.domain.campaign import ARENA_NAME
from discovery_service.domain.described_arenas import describe_built_in, describe_operators
from discovery_service.domain.user_arenas import make_document
from discovery_service.domain.worlds import ArenaSize
from discovery_service.engine import arenas as engine
from discovery_service.errors import NotFound

Name = Annotated[str, Path(max_length=100, pattern=f"^{ARENA_NAME}([:@][a-z0-9]+)?$")]

router = APIRouter(prefix="/v1/arenas", tags=["arenas"], responses=problems(*ALWAYS))


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=ArenaRead,
    responses={200: {"model": ArenaRead, "description": "This very arena is registered."}, **problems(408, 413, 429)},
    dependencies=[Depends(admitted)],
)
def create(body: ArenaCreate, unit: Unit, response: Response, _: Admin) -> ArenaRead:
    """Register an operator's arena. Campaigns that name it from now on are held in this version of it.

    The files stay where they are: `discovery arena add` looks at every row before it registers, this alone does not.
    """
    row, is_new = engine.register_arena(unit, make_document(body.arena, body.contents))
    made = _read(row)
    response.headers["Location"] = f"/v1/arenas/{made.name}"
    if not is_new:
        response.status_code = status.HTTP_200_OK
    return made


@router.get("", name="list", response_model=ArenaList)
def list_all(unit: Unit, _: Reader) -> ArenaList:
    """The built-in ones in each size, then of each of an operator's the version that was registered last."""
    built_in = [ArenaRead.model_validate(describe_built_in(name)) for name in arena_names()]
    return ArenaList(data=[*built_in, *(_read(row) for row in list_operators_arenas(unit))])


@router.get("/{name}", response_model=ArenaRead, responses=problems(404))
def read(name: Name, unit: Unit, _: Reader) -> ArenaRead:
    """One arena, by the name that a campaign would give it."""
    built_in = describe_built_in(f"{name}:{ArenaSize.MINI}" if name in ARENAS else name)
    if built_in is not None:
        return ArenaRead.model_validate(built_in)
    row = find_operators_arena(unit, name)
    if row is None:
        raise NotFound(f"There is no arena {name}; `GET /v1/arenas` lists those there are.")
    return _read(row)


@router.put("/{name}/calibration", response_model=ArenaRead, responses=problems(404, 408, 409, 413, 422, 429))
def calibrate(name: Name, body: ArenaCalibration, unit: Unit, _: Admin) -> ArenaRead:
    """Keep what was measured of an operator's arena. Campaigns in it use the figures from now on."""
    calibration = {"name": name, "library": body.library.model_dump(mode="json")}
    return _read(engine.keep_calibration(unit, name, body.content_sha256, calibration))


def _read(row: Arena) -> ArenaRead:
    return ArenaRead.model_validate(describe_operators(row.spec, row.calibration))

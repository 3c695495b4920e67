"""API keys: made, listed, revoked. Only for keys with the scope `admin`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, status

from discovery_service.api.dependencies import Admin, State, Unit, admitted
from discovery_service.api.pagination import DEFAULT_LIMIT, Limit, Page, PageOf, page_of
from discovery_service.api.schemas.keys import KeyCreate, KeyCreated, KeyRead
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.db.queries import list_keys
from discovery_service.db.tables import ApiKey
from discovery_service.engine.keys import create_key, revoke_key

router = APIRouter(prefix="/v1/keys", tags=["keys"], responses=problems(*ALWAYS))


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=KeyCreated,
    responses=problems(408, 413, 429),
    dependencies=[Depends(admitted)],
)
def create(body: KeyCreate, unit: Unit, state: State, _: Admin) -> KeyCreated:
    """Make a key. Its token is in this answer and nowhere else, so there is no replay by Idempotency-Key."""
    key, token = create_key(
        unit, name=body.name, scopes=body.scopes, secret=state.key_secret, expires_at=body.expires_at
    )
    return KeyCreated(**KeyRead.model_validate(key).model_dump(), token=token)


@router.get("", name="list", response_model=Page[KeyRead])
def list_all(
    unit: Unit,
    _: Admin,
    after: Annotated[UUID | None, Query(description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PageOf[ApiKey]:
    """The newest first, revoked ones too."""
    return page_of(list_keys(unit, after=after, limit=limit + 1), limit)


@router.post("/{key_id}/revoke", response_model=KeyRead, responses=problems(404))
def revoke(key_id: UUID, unit: Unit, _: Admin) -> ApiKey:
    """From the next request on the key opens nothing."""
    return revoke_key(unit, key_id)

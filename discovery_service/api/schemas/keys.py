"""API keys over the wire. The token itself appears once, in the answer that creates it."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from discovery_service.domain.access import Scope
from discovery_service.domain.campaign import Name, Strict

_EXAMPLE: dict[str, Any] = {
    "id": "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e",
    "name": "ci",
    "prefix": "dls_k7qm",
    "last_four": "x2aq",
    "scopes": ["campaigns:read"],
    "created_at": "2026-11-21T10:00:00Z",
    "expires_at": "2027-11-21T10:00:00Z",
    "revoked_at": "2027-01-05T08:00:00Z",
    "last_used_at": "2026-12-24T18:00:00Z",
}


class KeyCreate(Strict):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "scopes": ["campaigns:read"]}]})

    name: Name
    scopes: list[Annotated[Scope, Field(strict=False)]] = Field(min_length=1, max_length=len(Scope))
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = None

    @field_validator("expires_at", mode="before")
    @classmethod
    def written_as_text(cls, value: object) -> object:
        """A bare number would be read as seconds since 1970, or as milliseconds, by its size."""
        if value is not None and not isinstance(value, str):
            raise PydanticCustomError("not_a_time", "must be a time with its zone, such as 2027-01-31T12:00:00Z")
        return value


class KeyRead(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

    id: UUID
    name: str
    prefix: str
    last_four: str
    scopes: list[Scope]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    revoked_at: AwareDatetime | None
    last_used_at: AwareDatetime | None


class KeyCreated(KeyRead):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [{**_EXAMPLE, "token": "dls_k7qm…x2aq"}]},
    )

    token: str = Field(description="The key itself. It is shown this once and stored nowhere.")

"""Keyset pages: `after` is the id of the last item seen, so a page neither shifts nor repeats when rows arrive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar, get_args

from fastapi import Query
from pydantic import BaseModel, ConfigDict


class Identified(Protocol):
    @property
    def id(self) -> object: ...


Item = TypeVar("Item")
Row = TypeVar("Row", bound=Identified)

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items a page.")]


@dataclass(frozen=True)
class PageOf(Generic[Item]):
    """A page of rows, before they become what goes over the wire."""

    data: Sequence[Item]
    has_more: bool
    next: str | None


def _example(schema: dict[str, Any], model: type[BaseModel]) -> None:
    (item,) = get_args(model.model_fields["data"].annotation)
    data = item.model_config["json_schema_extra"]["examples"]
    schema["examples"] = [{"data": data, "has_more": True, "next": data[-1]["id"]}]


class Page(BaseModel, Generic[Item]):
    model_config = ConfigDict(from_attributes=True, json_schema_extra=_example)

    data: list[Item]
    has_more: bool
    next: str | None


def page_of(rows: Sequence[Row], limit: int) -> PageOf[Row]:
    """A page from `limit + 1` rows: the extra one only tells that there are more."""
    has_more = len(rows) > limit
    data = rows[:limit]
    return PageOf(data, has_more, next=str(data[-1].id) if has_more else None)

"""What many tables share: names of constraints, key and time columns, checked enums, the lease of a piece of work."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Enum, ForeignKey, Index, MetaData, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from discovery_service.domain.ids import uuid7


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class attribute
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        StrEnum: Enum(
            StrEnum,
            native_enum=False,  # text and a CHECK: another member needs no ALTER TYPE, which cannot be undone
            create_constraint=True,
            length=20,
            values_callable=lambda enum: [member.value for member in enum],
        ),
    }


class Keyed:
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Work:
    """A row that is a piece of work: who holds it until when, which attempt this is, how the earlier ones ended."""

    @declared_attr
    @classmethod
    def campaign_id(cls) -> Mapped[UUID]:
        return mapped_column(ForeignKey("campaign.id"), index=True)

    @declared_attr
    @classmethod
    def lease_owner(cls) -> Mapped[UUID | None]:
        return mapped_column(ForeignKey("worker.id"), index=True)

    attempt: Mapped[int] = mapped_column(server_default="0")
    """Never starts again at 0: it is what fences a zombie."""
    crashes: Mapped[int] = mapped_column(server_default="0")
    interruptions: Mapped[int] = mapped_column(server_default="0")
    """Attempts that ended because their worker did; like crashes, counted since somebody last asked for a retry."""
    lease_expires_at: Mapped[datetime | None]
    rung_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


def rung_index(table: str, waiting: StrEnum) -> Index:
    """For the sweeper, which looks every few seconds for waiting rows that were not rung for lately."""
    order = (text("rung_at NULLS FIRST"), "id")
    return Index(f"ix_{table}_rung_at", *order, postgresql_where=text(f"status = '{waiting}'"))

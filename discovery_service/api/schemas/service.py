"""Health over the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Health(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok", "version": "0.1.0"}]})

    status: Literal["ok"]
    version: str


class Readiness(BaseModel):
    """Without the broker work still queues, so that is degraded, not dead."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"status": "ready", "database": "ok", "schema_revision": "0004", "broker": "ok", "jail": "full"}
            ]
        }
    )

    status: Literal["ready", "degraded", "unavailable"]
    database: Literal["ok", "newer", "behind", "away"]
    """By its schema: newer where it was migrated for a version that is about to start."""
    schema_revision: str | None
    broker: Literal["ok", "away"]
    jail: Literal["full", "seccomp", "unavailable"] | None
    """The weakest lock of all gate workers that are there; null while there is none."""

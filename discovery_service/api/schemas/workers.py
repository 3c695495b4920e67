"""The fleet over the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from discovery_service.domain.campaign import example
from discovery_service.domain.states import WorkerState

_DEVICE: dict[str, Any] = {"kind": "cuda", "card": "0", "model": "NVIDIA H100 80GB HBM3"}
_WORKER: dict[str, Any] = {
    "id": "019aa0b0-6f7e-7c3a-9d55-0d5a3f3f3b1e",
    "name": "evaluate@rack-3",
    "state": "live",
    "queues": ["evaluate"],
    "slots": 1,
    "devices": [_DEVICE],
    "isolation": "full",
    "host": "rack-3",
    "pid": 4711,
    "started_at": "2026-11-21T09:00:00Z",
    "seen_at": "2026-11-21T10:00:00Z",
}


class DeviceRead(BaseModel):
    model_config = example(**_DEVICE)

    kind: str
    card: str | None
    model: str | None


class WorkerRead(BaseModel):
    model_config = example(**_WORKER)

    id: UUID
    name: str
    state: WorkerState
    """`lost` is one that was not seen for a minute."""
    queues: list[str]
    slots: int
    devices: list[DeviceRead]
    """One for each slot that trains."""
    isolation: str | None
    """What its jail reaches; null before it has judged anything, and of workers that judge nothing."""
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime


class WorkerList(BaseModel):
    model_config = example(data=[_WORKER])

    data: list[WorkerRead]

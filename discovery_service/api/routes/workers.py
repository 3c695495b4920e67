"""The fleet."""

from fastapi import APIRouter

from discovery_service.api.dependencies import Reader, Unit
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.api.schemas.workers import WorkerList, WorkerRead
from discovery_service.db.tables import Worker
from discovery_service.domain.states import WorkerState
from discovery_service.engine.workers import list_workers

router = APIRouter(prefix="/v1/workers", tags=["workers"], responses=problems(*ALWAYS))


@router.get("", name="list", response_model=WorkerList)
def list_all(unit: Unit, _: Reader) -> WorkerList:
    """The workers that were seen within a day, by name: who takes which work, on which devices, how well locked."""
    return WorkerList(data=[_read(worker, state) for worker, state in list_workers(unit)])


def _read(worker: Worker, state: WorkerState) -> WorkerRead:
    return WorkerRead.model_validate({**vars(worker), "state": state, "started_at": worker.created_at})

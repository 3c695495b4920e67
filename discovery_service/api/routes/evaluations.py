"""Evaluations: what was measured, and another try for one that was abandoned."""

from uuid import UUID

from fastapi import APIRouter, status
from sqlalchemy.orm import Session

from discovery_service.api.dependencies import Reader, Unit, Writer
from discovery_service.api.schemas.evaluations import EvaluationRead
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.db.tables import Arena, Evaluation, Measurement
from discovery_service.engine import evaluations as engine
from discovery_service.engine.confirm import list_unfinished

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"], responses=problems(*ALWAYS))


# Only an id: else this route would match the address of the command below too, with another method.
@router.get("/{evaluation_id:uuid}", response_model=EvaluationRead, responses=problems(404))
def read(evaluation_id: UUID, unit: Unit, _: Reader) -> EvaluationRead:
    """One evaluation with its metrics and the series of its training."""
    return _read(unit, engine.get_evaluation(unit, evaluation_id))


@router.post(
    "/{evaluation_id}:retry",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=EvaluationRead,
    responses=problems(404, 409),
)
def retry(evaluation_id: UUID, unit: Unit, _: Writer) -> EvaluationRead:
    """Try an abandoned one again. Its campaign stays paused until it is resumed."""
    return _read(unit, engine.retry_evaluation(unit, evaluation_id))


def _read(session: Session, row: Evaluation) -> EvaluationRead:
    measurement = None if row.measurement_id is None else session.get_one(Measurement, row.measurement_id)
    unfinished = list_unfinished(session, [row.seal_id])
    return EvaluationRead.of(row, session.get_one(Arena, row.arena_id), measurement, unfinished)

"""What a user may do to an evaluation: look at it, and have an abandoned one tried again."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import Campaign, Evaluation
from discovery_service.domain.states import EvaluationStatus, is_final
from discovery_service.engine.campaigns import get_campaign
from discovery_service.engine.dispatch import ring
from discovery_service.engine.events import record
from discovery_service.engine.work import EVALUATION
from discovery_service.errors import Conflict, IllegalTransition, NotFound


def get_evaluation(session: Session, evaluation_id: UUID) -> Evaluation:
    """NotFound also where its campaign was deleted."""
    query = select(Evaluation).join(Campaign, Campaign.id == Evaluation.campaign_id)
    found = session.scalar(query.where(Evaluation.id == evaluation_id, Campaign.deleted_at.is_(None)))
    if found is None:
        raise NotFound(f"There is no evaluation {evaluation_id}.")
    return found


def retry_evaluation(session: Session, evaluation_id: UUID) -> Evaluation:
    """Back to waiting, its crashes counted anew. The campaign stays paused until somebody resumes it."""
    evaluation = get_evaluation(session, evaluation_id)
    # The campaign first, as everywhere.
    campaign = get_campaign(session, evaluation.campaign_id, lock=True)
    if is_final(campaign.status):
        raise Conflict(f"The campaign is {campaign.status}; nothing of it runs any more.")
    moved = session.scalar(
        update(Evaluation)
        .where(Evaluation.id == evaluation_id, Evaluation.status == EvaluationStatus.ABANDONED)
        .values(status=EvaluationStatus.QUEUED, crashes=0, interruptions=0, finished_at=None, cancel_requested_at=None)
        .returning(Evaluation.id)
        .execution_options(synchronize_session=False)
    )
    session.refresh(evaluation)
    if moved is None:
        raise IllegalTransition(
            f"The evaluation is {evaluation.status}; only an abandoned one can be tried again.",
            status_now=evaluation.status.value,
        )
    kind = f"{EVALUATION.name}.{EvaluationStatus.QUEUED}"
    record(session, campaign.id, kind, evaluation_id, attempt=evaluation.attempt)
    ring(session, EVALUATION, evaluation_id)
    return evaluation

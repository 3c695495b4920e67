"""An abandoned evaluation may be tried again; no other one may."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from discovery_service.db.tables import Campaign, Evaluation
from discovery_service.domain.states import CampaignStatus, EvaluationStatus
from discovery_service.engine.claim import MAX_CRASHES, Claim, crash
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.engine.evaluations import get_evaluation, retry_evaluation
from discovery_service.engine.work import EVALUATION
from discovery_service.errors import Conflict, IllegalTransition, NotFound
from tests.conftest import RecordingBell
from tests.engine.conftest import Stage


@pytest.fixture
def abandoned(stage: Stage) -> Claim:
    held = stage.add_held()
    for attempt in range(1, MAX_CRASHES + 1):
        if attempt > 1:
            again = stage.claim(EVALUATION, held.id)
            assert again is not None
            held = again
        with stage.sessions.begin() as session:
            crash(session, held, "the runtime's process ended by SIGKILL")
    assert stage.get(held).status is EvaluationStatus.ABANDONED
    return held


def test_it_waits_again_with_its_crashes_counted_anew(stage: Stage, abandoned: Claim, bell: RecordingBell) -> None:
    with unit_of_work(stage.sessions, bell) as session:
        retry_evaluation(session, abandoned.id)
    row = stage.get(abandoned)
    assert (row.status, row.crashes, row.attempt, row.finished_at) == (EvaluationStatus.QUEUED, 0, MAX_CRASHES, None)
    assert bell.rings == [(EVALUATION.task, EVALUATION.queue, str(abandoned.id))]
    assert stage.events()[-1] == "evaluation.queued"
    # Why it was paused may still be so: that is for whoever resumes it.
    assert stage.get_campaign().status is CampaignStatus.PAUSED


# One that has succeeded points at a measurement, and is refused by the same comparison.
@pytest.mark.parametrize(
    "status",
    [EvaluationStatus.QUEUED, EvaluationStatus.RUNNING, EvaluationStatus.FAILED, EvaluationStatus.CANCELLED],
)
def test_any_other_is_refused(stage: Stage, status: EvaluationStatus) -> None:
    row_id = stage.add_work()
    stage.set((EVALUATION, row_id), status=status)
    with pytest.raises(IllegalTransition, match=status.value), stage.sessions.begin() as session:
        retry_evaluation(session, row_id)


def test_one_of_a_campaign_that_has_ended_is_refused(stage: Stage, abandoned: Claim) -> None:
    with stage.sessions.begin() as session:
        session.get_one(Campaign, stage.campaign_id).status = CampaignStatus.CANCELLED
    with pytest.raises(Conflict, match="cancelled"), stage.sessions.begin() as session:
        retry_evaluation(session, abandoned.id)


def test_one_that_is_not_there_or_whose_campaign_was_deleted_is_not_found(stage: Stage, abandoned: Claim) -> None:
    with pytest.raises(NotFound), stage.sessions() as session:
        get_evaluation(session, uuid4())
    with stage.sessions.begin() as session:
        assert isinstance(get_evaluation(session, abandoned.id), Evaluation)
        session.get_one(Campaign, stage.campaign_id).deleted_at = datetime.now(UTC)
    with pytest.raises(NotFound), stage.sessions() as session:
        get_evaluation(session, abandoned.id)

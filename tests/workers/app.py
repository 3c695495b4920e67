"""A worker whose task bodies a test supplies: `python -m tests.workers.app KIND NAME`.

They claim, record where they ran, and finish. The first attempt of an evaluation with the setting `hold` goes on until
its lease is lost or somebody cancels it; a candidate named `hold` is at the gate until its campaign has notes.
"""

import os
import sys
from uuid import UUID

from celery import shared_task

from discovery_service.db.tables import Campaign, Candidate, Evaluation
from discovery_service.domain.states import CandidateStatus, EvaluationStatus
from discovery_service.engine.claim import Claim, claim, finish
from discovery_service.engine.events import record
from discovery_service.engine.heartbeat import Heartbeat, heartbeat
from discovery_service.engine.work import CANDIDATE, EVALUATION, WorkKind
from tests import rows
from workers import celery_app
from workers.fleet import find_worker_id
from workers.kinds import WorkerKind
from workers.process import get_sessions, task_unit
from workers.start import run_worker


def take(kind: WorkKind, row_id: str) -> Claim | None:
    worker_id = find_worker_id()
    if worker_id is None:
        return None
    with task_unit() as session:
        held = claim(session, kind, UUID(row_id), worker_id)
        if held is not None:
            record(session, held.campaign_id, rows.RAN, held.id, process=os.getpid())
    return held


@shared_task(name=EVALUATION.task)
def train(evaluation_id: str) -> None:
    held = take(EVALUATION, evaluation_id)
    if held is None:
        return
    with heartbeat(get_sessions(), held) as beating:
        with task_unit() as session:
            holds = session.get_one(Evaluation, held.id).setting.get("hold") and held.attempt == 1
        is_cancelled = holds and wait_for_interruption(beating)
    with task_unit() as session:
        if is_cancelled:
            finish(session, held, EvaluationStatus.CANCELLED)
        elif not beating.lost.is_set():
            measured = rows.add_measurement(
                session, f"{held.id} {held.attempt}", of=session.get_one(Evaluation, held.id)
            )
            finish(session, held, EvaluationStatus.SUCCEEDED, measurement_id=measured.id)


def wait_for_interruption(beating: Heartbeat) -> bool:
    """Whether it was a cancellation."""
    while not beating.lost.wait(0.05):
        if beating.cancel_requested.is_set():
            return True
    return False


@shared_task(name=CANDIDATE.task)
def gate(candidate_id: str) -> None:
    held = take(CANDIDATE, candidate_id)
    if held is None:
        return
    with heartbeat(get_sessions(), held) as beating:
        while is_held_up(held) and not beating.lost.wait(0.05):
            pass
        with task_unit() as session:
            finish(session, held, CandidateStatus.ACCEPTED)


def is_held_up(held: Claim) -> bool:
    with task_unit() as session:
        candidate = session.get_one(Candidate, held.id)
        return candidate.name == "hold" and not session.get_one(Campaign, held.campaign_id).notes


if __name__ == "__main__":
    # The stand-ins have the names of the real tasks.
    celery_app.TASK_MODULES = ("workers.tasks.maintain",)
    sys.exit(run_worker(WorkerKind(sys.argv[1]), sys.argv[2]))

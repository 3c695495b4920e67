"""The gate's tasks: a candidate on its way to be accepted, and a dry run that somebody waits for."""

from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from sqlalchemy.orm import Session

from discovery_service.db.queries import list_fingerprints
from discovery_service.db.tables import Campaign, Candidate
from discovery_service.domain.families import Family
from discovery_service.domain.states import CandidateStatus
from discovery_service.engine.checks import CHECK_TASK, answer_check, find_check
from discovery_service.engine.claim import Claim, claim, crash, finish
from discovery_service.engine.heartbeat import heartbeat
from discovery_service.engine.work import CANDIDATE
from discovery_service.engine.workers import note_isolation
from workers.fleet import find_worker_id
from workers.gate.answer import describe_unavailable, describe_verdict
from workers.gate.process import forget_jail, get_jail, is_enough, library_fingerprints
from workers.gate.road import Passed, Submission, Verdict, pass_gate
from workers.gate.twins import Archive
from workers.process import get_sessions, task_unit
from workers.supervisor.jail import Jail, JailUnavailable

log = structlog.get_logger(__name__)

AUTHORS_WITH_TWINS = ("human", "library")


@shared_task(name=CANDIDATE.task)
def pass_candidate(candidate_id: str) -> None:
    worker_id = find_worker_id()
    if worker_id is None:
        return
    jail = _open_jail(worker_id)
    if not is_enough(jail):
        # Nothing is claimed: another worker, with a better lock, may.
        forget_jail()
        return
    with task_unit() as session:
        held = claim(session, CANDIDATE, UUID(candidate_id), worker_id, isolation=jail.isolation.level)
        if held is None:
            return
        submission, archive = _read(session, held)
    with heartbeat(get_sessions(), held) as beating:
        try:
            verdict = pass_gate(jail, submission, archive)
        except JailUnavailable as error:
            with task_unit() as session:
                crash(session, held, str(error))
            return
    if beating.lost.is_set():
        return
    with task_unit() as session:
        if beating.cancel_requested.is_set():
            finish(session, held, CandidateStatus.CANCELLED)
        else:
            status = CandidateStatus.ACCEPTED if verdict.is_accepted else CandidateStatus.REJECTED
            finish(session, held, status, **_columns(verdict))


@shared_task(name=CHECK_TASK)
def check(check_id: str) -> None:
    """Judge a source that belongs to no campaign, and tell whoever waits."""
    worker_id = find_worker_id()
    if worker_id is None:
        return
    with task_unit() as session:
        asked = find_check(session, UUID(check_id))
    if asked is None:
        return
    jail, family = _open_jail(worker_id), Family(asked.family)
    archive = Archive(library_fingerprints(family))
    try:
        answer = describe_verdict(pass_gate(jail, Submission(asked.source, family), archive))
    except JailUnavailable as error:
        answer = describe_unavailable(jail.isolation, str(error))
        forget_jail()
    with task_unit() as session:
        answer_check(session, asked.id, answer)


def _open_jail(worker_id: UUID) -> Jail:
    """This process's jail; how well it is locked stands in the fleet, and in the log where that is not enough."""
    is_new = not get_jail.cache_info().currsize
    jail = get_jail()
    if is_new:
        with task_unit() as session:
            note_isolation(session, worker_id, jail.isolation.level.value)
    if not is_enough(jail):
        log.error("gate.jail_unavailable", level=jail.isolation.level.value, reason=jail.isolation.reason)
    return jail


def _read(session: Session, held: Claim) -> tuple[Submission, Archive]:
    candidate = session.get_one(Candidate, held.id)
    family = Family(session.get_one(Campaign, held.campaign_id).spec["family"])
    submission = Submission(
        candidate.source, family, name=candidate.name, may_be_twin=candidate.author in AUTHORS_WITH_TWINS
    )
    of_campaign = list_fingerprints(session, held.campaign_id, besides=held.id)
    return submission, Archive([*library_fingerprints(family), *of_campaign])


def _columns(verdict: Verdict) -> dict[str, Any]:
    refusals = [each.document() for each in verdict.refusals]
    columns: dict[str, Any] = {"refusal": {**refusals[0], "all": refusals} if refusals else None}
    if verdict.passed is not None:
        columns |= _found(verdict.passed)
    if verdict.twin is not None:
        columns["twin"] = verdict.twin.document()
    return columns


def _found(passed: Passed) -> dict[str, Any]:
    return {
        "graph": passed.graph.document(),
        "graph_sha256": passed.graph_sha256,
        "torch_version": passed.graph.torch_version,
        "fingerprint": passed.fingerprint,
        "passport": {**passed.passport, "curve": passed.curve},
        "formula": passed.formula,
        "readable_source": passed.checked.text,
        "check_vectors": passed.check_vectors,
    }

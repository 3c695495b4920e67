"""The gate's tasks: a candidate on its way to be accepted, and a dry run that somebody waits for."""

from collections import deque
from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from celery.signals import worker_process_init

from discovery_service.domain.families import Family
from discovery_service.domain.isolation import Level
from discovery_service.engine.checks import CHECK_TASK, answer_check, find_check, ring_check
from discovery_service.engine.rounds import SETTLE_TASK
from discovery_service.engine.work import CANDIDATE
from discovery_service.engine.workers import list_isolation
from workers.fleet import find_worker_id
from workers.gate.answer import answer_of, unavailable
from workers.gate.archives import library_archive
from workers.gate.candidate import judge_candidate
from workers.gate.process import demanded, get_own_jail, is_enough
from workers.gate.road import Submission, pass_gate
from workers.gate.settle import settle_round
from workers.process import task_unit
from workers.steps import take_step
from workers.supervisor.jail import Jail, JailUnavailable

log = structlog.get_logger(__name__)

_handed_on: deque[UUID] = deque(maxlen=100)
"""Checks that another worker was asked for; the second time they are left to it."""


@worker_process_init.connect
def open_jail(**_: Any) -> None:
    """Before the process takes its first message: the fleet knows its level then, and the first check is quick.

    Only processes of a pool hear this signal, and only the gate's worker has one.
    """
    worker_id = find_worker_id()
    if worker_id is not None:
        get_own_jail().open(worker_id)


@shared_task(name=CANDIDATE.task)
def pass_candidate(candidate_id: str) -> None:
    worker_id = find_worker_id()
    if worker_id is None:
        return
    own = get_own_jail()
    # Below what is demanded nothing is claimed: another worker, with a better lock, may.
    if is_enough(own.open(worker_id)):
        campaign_id = judge_candidate(own.jail, worker_id, UUID(candidate_id))
        own.note_level(worker_id)
        if campaign_id is not None:
            take_step(campaign_id)


@shared_task(name=SETTLE_TASK)
def settle(round_id: str) -> None:
    """Twins among losses that were judged beside each other."""
    with task_unit() as session:
        campaign_id = settle_round(session, UUID(round_id))
    if campaign_id is not None:
        take_step(campaign_id)


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
    own = get_own_jail()
    jail = own.open(worker_id)
    if not is_enough(jail) and _hand_on(asked.id, worker_id):
        return
    answer = _judge(jail, Submission(asked.source, Family(asked.family), values=asked.values))
    with task_unit() as session:
        answer_check(session, asked.id, answer)
    own.note_level(worker_id)


def _judge(jail: Jail, submission: Submission) -> dict[str, Any]:
    try:
        return answer_of(pass_gate(jail, submission, library_archive(submission.family))).document()
    except JailUnavailable as error:
        return unavailable(jail.isolation, str(error)).document()


def _hand_on(check_id: UUID, worker_id: UUID) -> bool:
    """Whether another worker lives that may judge it; asked for once by each process."""
    with task_unit() as session:
        others = list_isolation(session, besides=worker_id)
        is_other_enough = any(Level(level).reaches(demanded()) for level in others)
        if is_other_enough and check_id not in _handed_on:
            _handed_on.append(check_id)
            ring_check(session, check_id)
    return is_other_enough

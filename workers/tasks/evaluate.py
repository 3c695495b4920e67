"""The evaluate task: one evaluation from its claim to its measurement, on a free slot of this worker."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from sqlalchemy.orm import Session

from discovery_service.domain.measuring import Build, Failure
from discovery_service.domain.states import EvaluationStatus
from discovery_service.engine.claim import Claim, claim, crash, finish, hand_on
from discovery_service.engine.heartbeat import Heartbeat, heartbeat
from discovery_service.engine.measurements import (
    Job,
    find_measurement,
    read_job,
    record_failure,
    record_measurement,
    reuse_measurement,
)
from discovery_service.engine.work import EVALUATION
from discovery_service.losses.refusals import Refused
from workers.fleet import find_worker_id, wait_to_leave
from workers.process import get_sessions, task_unit
from workers.runtime.protocol import DrawMessage, Evaluate, SettingMessage
from workers.settling import settle
from workers.slots import get_slots
from workers.steps import take_step_soon
from workers.supervisor.outcome import Cancelled, Crashed, Failed, Limits, Measured, Outcome
from workers.supervisor.runtime import Runtime, RuntimeLost

log = structlog.get_logger(__name__)

# Starting a runtime takes seconds of a core; a device rarely comes back by itself.
TRY_AGAIN_AFTER_S = 30.0
FOREIGN_GRAPH = "this worker does not know the graph's version: let all machines run the same version"

_not_started: set[Runtime] = set()
"""Those of this process's runtimes that did not start when they were tried last."""


@dataclass(frozen=True)
class Taken:
    """What this task holds and has to train."""

    held: Claim
    job: Job
    key: dict[str, Any]


@shared_task(name=EVALUATION.task)
def train(evaluation_id: str) -> None:
    worker_id = find_worker_id()
    if worker_id is None:
        return
    slots = get_slots()
    with slots.take() as runtime:
        build = _start(runtime)
        if build is None:
            # Nothing is claimed: another worker, whose device works, may. This slot stays taken meanwhile, because a
            # free one takes every message from the workers that train.
            with task_unit() as session:
                hand_on(session, EVALUATION, UUID(evaluation_id))
            wait_to_leave(TRY_AGAIN_AFTER_S)
            return
        with task_unit() as session:
            held = claim(session, EVALUATION, UUID(evaluation_id), worker_id)
        if held is None:
            return
        try:
            with heartbeat(get_sessions(), held) as beating:
                _evaluate(runtime, slots.limits, held, build, beating)
        except Exception as error:
            # Whatever it is, it is no fault of the candidate, and as an attempt that counts it does not come for ever.
            log.exception("evaluate.failed", id=str(held.id))
            with task_unit() as session:
                crash(session, held, f"the evaluation failed: {type(error).__name__}: {error}")
    take_step_soon(held.campaign_id, held.id)


def _start(runtime: Runtime) -> Build | None:
    """What computes in it; None when it does not start, which is said once and not at every try."""
    try:
        build = runtime.start().build()
    except RuntimeLost as lost:
        if runtime not in _not_started:
            log.error("evaluate.no_runtime", reason=str(lost))
        _not_started.add(runtime)
        return None
    _not_started.discard(runtime)
    return build


def _evaluate(runtime: Runtime, limits: Limits, held: Claim, build: Build, beating: Heartbeat) -> None:
    taken = settle(beating, lambda session: _prepare(session, held, build))
    if taken is None:
        return
    outcome = runtime.evaluate(_make_order(taken, limits.memory_bytes), limits, stop=beating.stop)
    settle(beating, lambda session: _write(session, taken, outcome))


def _prepare(session: Session, held: Claim, build: Build) -> Taken | None:
    """What there is to train; None where it ends here, because it was measured before or cannot be read."""
    try:
        job = read_job(session, held)
    except Refused as refused:
        # The gate has accepted it: what this worker cannot read, one of another version wrote.
        log.error("evaluate.foreign_graph", id=str(held.id), reason=refused.refusals[0].message)
        crash(session, held, FOREIGN_GRAPH)
        return None
    key = job.key(build)
    stored = find_measurement(session, key)
    if stored is not None:
        reuse_measurement(session, held, stored)
        return None
    return Taken(held, job, key)


def _make_order(taken: Taken, memory_bytes: int | None) -> Evaluate:
    job = taken.job
    return Evaluate(
        job=f"{taken.held.id} {taken.held.attempt}",
        arena=job.arena,
        base_policy=job.base_policy,
        graph=job.graph.document(),
        setting=SettingMessage.model_validate(job.setting.document()),
        draw=DrawMessage.model_validate(job.draw.document()),
        memory_bytes=memory_bytes,
    )


def _write(session: Session, taken: Taken, outcome: Outcome) -> None:
    match outcome:
        case Measured():
            record_measurement(
                session,
                taken.held,
                taken.job,
                taken.key,
                metrics=outcome.metrics,
                series=outcome.series,
                device_seconds=outcome.device_s,
                building_seconds=outcome.building_s,
            )
        case Failed():
            failure = Failure(outcome.code, outcome.message, outcome.step, outcome.series)
            record_failure(session, taken.held, failure, device_seconds=outcome.device_s)
        case Crashed():
            log.warning("evaluate.crashed", id=str(taken.held.id), reason=outcome.reason, log=outcome.log)
            crash(session, taken.held, outcome.reason)
        case Cancelled():
            finish(session, taken.held, EvaluationStatus.CANCELLED)

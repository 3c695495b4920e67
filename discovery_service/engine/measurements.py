"""What trainings gave: stored once for all campaigns, pointed at by evaluations, charged to each one's campaign.

The same training is charged the same whether it ran now or was found, so that a campaign's budget does not depend on
what others measured before. A crashed or cancelled attempt is never charged.
"""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, CampaignProgress, Candidate, Evaluation, Measurement
from discovery_service.domain.ids import uuid7
from discovery_service.domain.measuring import Build, Draw, Failure, Setting, hash_key, measurement_key
from discovery_service.domain.states import EvaluationStatus
from discovery_service.engine.claim import Claim, finish
from discovery_service.losses.canonical import canonicalise, hash_graph
from discovery_service.losses.graph import Graph, read_graph

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Job:
    """All that decides what an evaluation's training gives, apart from who computes it."""

    arena_id: UUID
    arena_sha256: str
    arena: dict[str, Any]
    base_policy: int
    graph: Graph
    """The one of its hash, so that equal keys mean equal bits."""
    graph_sha256: str
    setting: Setting
    draw: Draw

    def key(self, build: Build) -> dict[str, Any]:
        if self.arena.get("lora") is None:
            build = replace(build, peft=None)
        return measurement_key(
            graph_sha256=self.graph_sha256,
            arena_sha256=self.arena_sha256,
            base_policy=self.base_policy,
            setting=self.setting,
            draw=self.draw,
            build=build,
        )


def read_job(session: Session, held: Claim) -> Job:
    """Raises Refused for a graph that this version cannot read: no fault of the candidate, which was accepted.

    ValueError where it is not the graph that was accepted.
    """
    evaluation = session.get_one(Evaluation, held.id)
    arena = session.get_one(Arena, evaluation.arena_id)
    candidate = session.get_one(Candidate, evaluation.candidate_id)
    graph = read_graph(candidate.graph)
    graph_sha256 = hash_graph(graph)
    if graph_sha256 != candidate.graph_sha256:
        raise ValueError(
            f"the graph of candidate {candidate.id} has the hash {graph_sha256}, not the {candidate.graph_sha256} that"
            " the gate has accepted: it was changed past the service, or this version reads it otherwise"
        )
    return Job(
        arena_id=arena.id,
        arena_sha256=arena.content_sha256,
        arena=arena.spec,
        base_policy=evaluation.base_policy,
        graph=canonicalise(graph),
        graph_sha256=graph_sha256,
        setting=Setting(**evaluation.setting),
        draw=Draw(evaluation.purpose, evaluation.draw, evaluation.salt),
    )


def find_measurement(session: Session, key: dict[str, Any]) -> Measurement | None:
    return session.scalar(select(Measurement).where(Measurement.key_sha256 == hash_key(key)))


def reuse_measurement(session: Session, held: Claim, stored: Measurement) -> bool:
    """End the evaluation with what was measured before, at its nominal cost. False: the lease was lost."""
    return _succeed(session, held, stored, is_reused=True)


def record_measurement(
    session: Session,
    held: Claim,
    job: Job,
    key: dict[str, Any],
    *,
    metrics: dict[str, Any],
    series: dict[str, Any],
    device_seconds: float,
    building_seconds: float = 0.0,
) -> bool:
    """Store what was measured, unless another one was faster with the same; end the evaluation either way.

    False: the lease was lost meanwhile, and nothing was written.
    """
    with session.begin_nested() as savepoint:
        inserted = session.scalar(
            insert(Measurement)
            .values(
                id=uuid7(),
                key_sha256=hash_key(key),
                key=key,
                graph_sha256=job.graph_sha256,
                arena_id=job.arena_id,
                metrics=metrics,
                series=series,
                device_seconds=device_seconds,
            )
            .on_conflict_do_nothing(index_elements=["key_sha256"])
            .returning(Measurement)
        )
        stored = inserted or find_measurement(session, key)
        assert stored is not None
        if stored.metrics != metrics:
            # Equal keys mean equal bits: here they did not, and whoever looks after this fleet has to know.
            log.error("measurement.not_repeated", measurement=str(stored.id), evaluation=str(held.id), metrics=metrics)
        is_ours = _succeed(session, held, stored, is_reused=inserted is None, building_s=round(building_seconds, 3))
        if not is_ours:
            savepoint.rollback()
    return is_ours


def record_failure(session: Session, held: Claim, failure: Failure, *, device_seconds: float) -> bool:
    """The candidate's doing, which is a result too. False: the lease was lost meanwhile."""
    facts = {"code": failure.code, "message": failure.message}
    values = {"failure": failure.document(), "device_seconds": device_seconds}
    is_ours = finish(session, held, EvaluationStatus.FAILED, told=facts, **values)
    if is_ours:
        _charge(session, held.campaign_id, device_seconds)
    return is_ours


def _succeed(session: Session, held: Claim, stored: Measurement, *, is_reused: bool, building_s: float = 0.0) -> bool:
    seconds = stored.device_seconds
    facts = {"measurement_id": str(stored.id), "is_reused": is_reused, "building_s": building_s}
    values = {"measurement_id": stored.id, "is_reused": is_reused, "device_seconds": seconds}
    is_ours = finish(session, held, EvaluationStatus.SUCCEEDED, told=facts, **values)
    if is_ours:
        _charge(session, held.campaign_id, seconds)
    return is_ours


def _charge(session: Session, campaign_id: UUID, seconds: float) -> None:
    session.execute(
        update(CampaignProgress)
        .where(CampaignProgress.campaign_id == campaign_id)
        .values(
            evaluations=CampaignProgress.evaluations + 1,
            device_seconds=CampaignProgress.device_seconds + seconds,
        )
        .execution_options(synchronize_session=False)
    )

"""What workers leave of many trainings, written with a few statements: each by its own claim takes a campaign minutes.

`test_playing` holds that the same rows come of it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Campaign, CampaignProgress, Candidate, Evaluation, Event, Measurement
from discovery_service.domain.ids import uuid7
from discovery_service.domain.measuring import Build, Draw, Failure, Setting, hash_key, measurement_key
from discovery_service.domain.states import CampaignStatus, EvaluationStatus

SECONDS = 1.0


class Trained(NamedTuple):
    """One evaluation, and what its training is determined by."""

    row: Evaluation
    name: str
    graph_sha256: str
    arena: Arena

    @property
    def setting(self) -> Setting:
        return Setting(**self.row.setting)

    @property
    def base_policy(self) -> int:
        return self.row.base_policy

    @property
    def draw(self) -> Draw:
        return Draw(self.row.purpose, self.row.draw, self.row.salt)

    def key(self, build: Build) -> dict[str, Any]:
        return measurement_key(
            graph_sha256=self.graph_sha256,
            arena_sha256=self.arena.content_sha256,
            base_policy=self.base_policy,
            setting=self.setting,
            draw=self.draw,
            build=build,
        )


Outcome = dict[str, Any] | Failure
"""The metrics, or why there are none."""


def write_measured(
    session: Session, row_ids: Sequence[UUID], build: Build, train: Callable[[Trained], Outcome]
) -> None:
    """In the order given. All of them wait in one campaign, which runs."""
    trained = _read(session, row_ids)
    keys = [each.key(build) for each in trained]
    hashes = [hash_key(key) for key in keys]
    query = select(Measurement.key_sha256, Measurement.id).where(Measurement.key_sha256.in_(hashes))
    stored = dict(session.execute(query).all())
    made, succeeded, failed, events = [], [], [], []
    for each, key, digest in zip(trained, keys, hashes, strict=True):
        attempt, outcome = each.row.attempt + 1, train(each)
        events.append(_tell(each, "running", attempt=attempt))
        is_reused = digest in stored
        if not is_reused and isinstance(outcome, Failure):
            failed.append({"row": each.row.id, "failure": outcome.document()})
            facts = {"code": outcome.code, "message": outcome.message}
            events.append(_tell(each, "failed", attempt=attempt, name=each.name, **facts))
            continue
        if not is_reused:
            made.append(_measurement(each, key, digest, outcome))
            stored[digest] = made[-1]["id"]
        found = stored[digest]
        succeeded.append({"row": each.row.id, "found": found, "again": is_reused})
        facts = {"measurement_id": str(found), "is_reused": is_reused, "building_s": 0.0}
        events.append(_tell(each, "succeeded", attempt=attempt, name=each.name, **facts))
    if made:
        session.execute(insert(Measurement), made)
    table = Evaluation.__table__
    ended = update(table).where(table.c.id == bindparam("row"))
    ended = ended.values(
        attempt=table.c.attempt + 1,
        started_at=func.coalesce(table.c.started_at, func.now()),
        finished_at=func.now(),
        device_seconds=SECONDS,
    )
    if succeeded:
        values = {"measurement_id": bindparam("found"), "is_reused": bindparam("again")}
        session.connection().execute(ended.values(status=EvaluationStatus.SUCCEEDED, **values), succeeded)
    if failed:
        values = {"status": EvaluationStatus.FAILED, "failure": bindparam("failure", type_=table.c.failure.type)}
        session.connection().execute(ended.values(**values), failed)
    session.execute(insert(Event), events)
    _charge(session, trained[0].row.campaign_id, len(trained))


def _read(session: Session, row_ids: Sequence[UUID]) -> list[Trained]:
    query = (
        select(Evaluation, Candidate.name, Candidate.graph_sha256, Arena)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .join(Arena, Arena.id == Evaluation.arena_id)
        .join(Campaign, Campaign.id == Evaluation.campaign_id)
        .where(
            Evaluation.id.in_(row_ids),
            Evaluation.status == EvaluationStatus.QUEUED,
            Evaluation.cancel_requested_at.is_(None),
            Campaign.status == CampaignStatus.RUNNING,
        )
    )
    found = {row.Evaluation.id: Trained(*row) for row in session.execute(query)}
    assert found.keys() == set(row_ids), "some do not wait, or their campaign does not run"
    assert len({each.row.campaign_id for each in found.values()}) == 1
    return [found[row_id] for row_id in row_ids]


def _measurement(each: Trained, key: dict[str, Any], digest: str, metrics: dict[str, Any]) -> dict[str, Any]:
    columns = {"id": uuid7(), "key_sha256": digest, "key": key, "graph_sha256": each.graph_sha256}
    return {**columns, "arena_id": each.arena.id, "metrics": metrics, "series": {}, "device_seconds": SECONDS}


def _tell(each: Trained, status: str, **payload: Any) -> dict[str, Any]:
    about = {"campaign_id": each.row.campaign_id, "subject_id": each.row.id}
    return {**about, "kind": f"evaluation.{status}", "payload": payload}


def _charge(session: Session, campaign_id: UUID, count: int) -> None:
    session.execute(
        update(CampaignProgress)
        .where(CampaignProgress.campaign_id == campaign_id)
        .values(
            evaluations=CampaignProgress.evaluations + count,
            device_seconds=CampaignProgress.device_seconds + count * SECONDS,
        )
        .execution_options(synchronize_session=False)
    )

"""Writes evaluations as rows that wait: once each, however often and by however many it is asked for.

What a budget of time has dropped waits again once it is asked for again.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from discovery_service.db.tables import Evaluation
from discovery_service.domain.ids import uuid7
from discovery_service.domain.measuring import hash_key
from discovery_service.domain.stages import Wanted
from discovery_service.domain.states import EvaluationStatus
from discovery_service.engine.dispatch import RING_AT_MOST, ring
from discovery_service.engine.events import record
from discovery_service.engine.work import EVALUATION


def schedule(
    session: Session,
    campaign_id: UUID,
    arena_id: UUID,
    wanted: Iterable[tuple[UUID, Wanted]],
    *,
    seal_id: UUID | None = None,
) -> int:
    """Of these candidates, whatever is not there yet; how many wait now. A long backlog is rung for by the sweeper."""
    rows: list[dict[str, Any]] = [
        {
            "id": uuid7(),
            "campaign_id": campaign_id,
            "candidate_id": candidate_id,
            "arena_id": arena_id,
            "base_policy": each.base_policy,
            "setting": each.setting.document(),
            "setting_sha256": hash_key(each.setting.document()),
            "purpose": each.draw.purpose,
            "draw": each.draw.key,
            "salt": each.draw.salt,
            "seal_id": seal_id,
        }
        for candidate_id, each in wanted
    ]
    if not rows:
        return 0
    again = {"status": EvaluationStatus.QUEUED, "finished_at": None, "cancel_requested_at": None}
    waiting = session.execute(
        insert(Evaluation)
        .values(rows)
        .on_conflict_do_update(
            "uq_evaluation_natural_key", set_=again, where=Evaluation.status == EvaluationStatus.CANCELLED
        )
        .returning(Evaluation.id, Evaluation.candidate_id, Evaluation.purpose)
    ).all()
    for row in waiting:
        facts = {"candidate_id": str(row.candidate_id), "purpose": row.purpose}
        record(session, campaign_id, f"{EVALUATION.name}.{EvaluationStatus.QUEUED}", row.id, **facts)
    ring(session, EVALUATION, *[row.id for row in waiting][:RING_AT_MOST])
    return len(waiting)

"""Evaluations that a fleet with toy runtimes trains: added with faults, watched from outside."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Arena, Campaign, CampaignProgress, Candidate, Evaluation, Event, Measurement
from discovery_service.domain.arenas import hash_document
from discovery_service.domain.families import Family
from discovery_service.domain.states import EvaluationStatus, is_final
from discovery_service.engine.bell import CeleryBell
from discovery_service.engine.dispatch import ring, unit_of_work
from discovery_service.engine.work import EVALUATION
from discovery_service.local import guard
from discovery_service.losses.described import list_described
from tests import rows
from tests.runtime.toy import document
from tests.waiting import wait_until

DPO = list_described(Family.PAIRWISE)["dpo"].graph
SETTING = {"beta": 0.5, "learning_rate": 0.05, "steps": 50}
# A runtime starts in 5 s, and on two cores that others use as well in 15.
SETTLE_WITHIN_S = 300.0


class Trainings:
    def __init__(self, sessions: Sessions, bell: CeleryBell) -> None:
        self.sessions, self.bell = sessions, bell
        with sessions.begin() as session:
            self.campaign_id = rows.add_campaign(session).id

    def add(
        self,
        *faults: dict[str, Any],
        graph: dict[str, Any] | None = None,
        arena: dict[str, Any] | None = None,
        **values: Any,
    ) -> UUID:
        """One of a candidate of its own that waits and is rung for, in a toy arena unless another one is given."""
        with unit_of_work(self.sessions, self.bell) as session:
            campaign = session.get_one(Campaign, self.campaign_id)
            candidate = rows.add_candidate(session, campaign, graph=graph or DPO)
            spec = arena or document(faults=list(faults))
            content = hash_document(spec)
            row = session.scalar(select(Arena).where(Arena.content_sha256 == content))
            if row is None:
                row = Arena(name=spec["name"], content_sha256=content, family="pairwise", spec=spec)
                session.add(row)
                session.flush()
            columns = {"candidate": candidate, "arena_id": row.id, "setting": SETTING} | values
            row_id = rows.add_evaluation(session, campaign, **columns).id
            ring(session, EVALUATION, row_id)
        return row_id

    def get(self, row_id: UUID) -> Evaluation:
        with self.sessions() as session:
            return session.get_one(Evaluation, row_id)

    def settle(self, *row_ids: UUID) -> list[Evaluation]:
        """Once nothing moves any more."""

        def are_settled() -> bool:
            try:
                return all(is_final(self.get(row_id).status) for row_id in row_ids)
            except OperationalError:  # a server that somebody has killed
                return False

        wait_until(are_settled, deadline_s=SETTLE_WITHIN_S)
        return [self.get(row_id) for row_id in row_ids]

    def wait_for(self, status: EvaluationStatus, row_id: UUID) -> None:
        wait_until(lambda: self.get(row_id).status is status, deadline_s=SETTLE_WITHIN_S)

    def measurements(self) -> list[Measurement]:
        with self.sessions() as session:
            return list(session.scalars(select(Measurement)))

    def measurement_of(self, row_id: UUID) -> Measurement:
        with self.sessions() as session:
            found = session.get_one(Evaluation, row_id).measurement_id
            assert found is not None
            return session.get_one(Measurement, found)

    def events_of(self, row_id: UUID) -> list[str]:
        with self.sessions() as session:
            return list(session.scalars(select(Event.kind).where(Event.subject_id == row_id).order_by(Event.id)))

    def get_campaign(self) -> Campaign:
        with self.sessions() as session:
            return session.get_one(Campaign, self.campaign_id)

    def count_charged(self) -> int:
        with self.sessions() as session:
            return session.get_one(CampaignProgress, self.campaign_id).evaluations

    def count_candidates(self) -> int:
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(Candidate)) or 0


def runtimes_of(worker_pid: int) -> list[int]:
    """The runtime processes of a worker."""
    return guard.find_children().get(worker_pid, [])

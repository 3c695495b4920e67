from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Event, Worker
from discovery_service.engine.claim import Claim, claim
from discovery_service.engine.work import EVALUATION, WorkKind, WorkRow
from tests import rows


class Stage:
    """A running campaign and a worker, with what tests do to their work; each act is one transaction."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        with sessions.begin() as session:
            self.campaign_id: UUID = rows.add_campaign(session).id
            self.worker_id: UUID = rows.add_worker(session).id

    def add_work(self, kind: WorkKind = EVALUATION) -> UUID:
        with self.sessions.begin() as session:
            return rows.add_work(session, kind, session.get_one(Campaign, self.campaign_id))

    def claim(self, kind: WorkKind, row_id: UUID) -> Claim | None:
        with self.sessions.begin() as session:
            return claim(session, kind, row_id, self.worker_id)

    def add_held(self, kind: WorkKind = EVALUATION) -> Claim:
        held = self.claim(kind, self.add_work(kind))
        assert held is not None
        return held

    def set(self, held: Claim | tuple[WorkKind, UUID], **values: Any) -> None:
        """Put the work's row into a state that would take long to come about."""
        with self.sessions.begin() as session:
            row = self.get(held)
            for name, value in values.items():
                setattr(row, name, value)
            session.merge(row)

    def get(self, held: Claim | tuple[WorkKind, UUID]) -> WorkRow:
        kind, row_id = (held.kind, held.id) if isinstance(held, Claim) else held
        with self.sessions() as session:
            return session.get_one(kind.table, row_id)

    def get_campaign(self) -> Campaign:
        with self.sessions() as session:
            return session.get_one(Campaign, self.campaign_id)

    def get_worker(self) -> Worker:
        with self.sessions() as session:
            return session.get_one(Worker, self.worker_id)

    def events(self) -> list[str]:
        """The kinds of all events so far, in order of writing."""
        with self.sessions() as session:
            return [event.kind for event in session.query(Event).order_by(Event.id)]


@pytest.fixture
def stage(sessions: Sessions) -> Stage:
    return Stage(sessions)


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor() as pool:
        yield pool

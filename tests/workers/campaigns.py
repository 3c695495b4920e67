"""Whole campaigns run by real workers, as seen from outside: what became of them, and what a replay says."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from benchmarks.final_rows import FinalRows, read_rows
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import (
    Campaign,
    CampaignProgress,
    Event,
    Exchange,
)
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.states import CampaignStatus, is_final
from discovery_service.engine.bell import CeleryBell
from discovery_service.engine.campaigns import create_campaign
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.engine.replay import replay
from discovery_service.engine.work import WORK_KINDS, WorkKind
from tests.waiting import wait_until
from workers.replay_cli import draw_again

LONG_AGO = func.now() - timedelta(hours=1)
CHEAP: dict[str, Any] = {
    "library": ["dpo"],
    "tuning": {"screen_draws": 2},
    "confirmation": {"finalists": 1, "min_draws": 9, "detect": 10.0},
}
"""As few trainings as a verdict takes."""


class Ran:
    """One campaign of a service that runs."""

    def __init__(self, sessions: Sessions, bell: CeleryBell, **spec: Any) -> None:
        self.sessions, self.bell = sessions, bell
        with unit_of_work(sessions, bell) as session:
            given = CampaignSpec.model_validate({**CHEAP, **spec})
            made = create_campaign(session, name="by itself", notes="", spec=given, created_by=None)
            self.campaign_id: UUID = made.id

    def get(self) -> Campaign:
        with self.sessions() as session:
            return session.get_one(Campaign, self.campaign_id)

    def get_progress(self) -> CampaignProgress:
        with self.sessions() as session:
            return session.get_one(CampaignProgress, self.campaign_id)

    def wait_for_end(self, *, deadline_s: float) -> Campaign:
        """Or for a pause, which is one too as long as nobody is there to resume."""

        def has_ended() -> bool:
            status = self.get().status
            return is_final(status) or status is CampaignStatus.PAUSED

        wait_until(has_ended, deadline_s=deadline_s)
        return self.get()

    def is_held(self, kind: WorkKind) -> bool:
        """Whether some worker is just at work of this kind."""
        with self.sessions() as session:
            held = (kind.table.campaign_id == self.campaign_id, kind.table.status == kind.held)
            return session.scalar(select(func.count()).select_from(kind.table).where(*held)) != 0

    def hasten(self) -> None:
        """What waits is rung for at the next sweep, as if a minute had passed."""
        with self.sessions.begin() as session:
            for kind in WORK_KINDS:
                waiting = (kind.table.campaign_id == self.campaign_id, kind.table.status == kind.waiting)
                session.execute(update(kind.table).where(*waiting).values(rung_at=LONG_AGO))
            waiting = (Exchange.campaign_id == self.campaign_id, Exchange.not_before.is_not(None))
            session.execute(update(Exchange).where(*waiting).values(not_before=LONG_AGO))

    def count_events(self, *kinds: str) -> int:
        with self.sessions() as session:
            mine = (Event.campaign_id == self.campaign_id, Event.kind.in_(kinds))
            return session.scalar(select(func.count()).select_from(Event).where(*mine)) or 0

    def list_differences(self) -> list[Any]:
        """Of a replay."""
        with self.sessions() as session:
            found = replay(session, self.campaign_id, draw_again)
        return [(each.what, each.where, each.list_leaves()) for each in found.differences]

    def read_rows(self) -> FinalRows:
        with self.sessions() as session:
            return read_rows(session, self.campaign_id)

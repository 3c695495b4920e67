"""Campaigns whose questions are put to the real proposers, while all else comes from tables."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import CampaignProgress, Exchange
from discovery_service.settings import get_settings
from tests.engine.playing import table
from tests.engine.searching import Act, Search
from tests.llm.endpoint import Endpoint
from workers.tasks.propose import ask_as


class Asking(Search):
    """Up to the point at which all proposals of the first round have ended, or nobody is asked any more."""

    def __init__(self, sessions: Sessions, **spec: Any) -> None:
        given = {"arena": "panel:mini", "library": ["dpo", "ipo"], "budgets": {"candidates": 1}}
        super().__init__(sessions, table({}), lambda *_: None, **given | spec)

    def answer(self, row_id: UUID) -> None:
        ask_as(self.worker_id, row_id)

    def _list_acts(self) -> list[Act]:
        """Meanwhile the time has passed for which questions wait."""
        waiting = (Exchange.campaign_id == self.campaign_id, Exchange.not_before.is_not(None))
        with self.sessions.begin() as session:
            session.execute(update(Exchange).where(*waiting).values(not_before=func.now()))
        return super()._list_acts()

    def ask(self) -> list[Exchange]:
        self.search()
        return [each for _, proposal in self.list_proposals() for each in self.list_exchanges(proposal.id)]

    def progress(self) -> CampaignProgress:
        with self.sessions() as session:
            return session.get_one(CampaignProgress, self.campaign_id)


def models(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, **options: str) -> list[dict[str, Any]]:
    """A profile of the endpoint, at a dollar and two for a million tokens."""
    prefix = "DISCOVERY__LLM__PROFILES__FAST__"
    values = {"MODEL": "m", "BASE_URL": endpoint.url, "INPUT_USD_PER_MILLION": "1", "OUTPUT_USD_PER_MILLION": "2"}
    for name, value in (values | options).items():
        monkeypatch.setenv(prefix + name, value)
    get_settings.cache_clear()
    return [{"kind": "llm", "models": [{"model": "fast"}]}]

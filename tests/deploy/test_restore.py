"""What docs/deploy.md says to do after a restore brings the events back."""

import re

from sqlalchemy import text

from discovery_service.db.sessions import Sessions
from discovery_service.engine.events import Cursor, list_events, record
from tests import rows
from tests.house.tree import REPOSITORY

FAR_AHEAD = 10**12


def test_events_of_another_cluster_show_again_in_their_order(sessions: Sessions, owner_sessions: Sessions) -> None:
    (statement,) = re.findall(r"`(UPDATE event .+?)`", (REPOSITORY / "docs" / "deploy.md").read_text())
    with sessions.begin() as session:
        campaign_id = rows.add_campaign(session).id
        for kind in ("first", "second"):
            record(session, campaign_id, kind)
            session.flush()
    with owner_sessions.begin() as session:
        session.execute(text("UPDATE event SET xid = xid + :ahead").bindparams(ahead=FAR_AHEAD))
    with sessions() as session:
        assert list_events(session, campaign_id, Cursor(), 10) == []
    with owner_sessions.begin() as session:
        session.execute(text(statement))
    with sessions.begin() as session:
        record(session, campaign_id, "after")
    with sessions() as session:
        kinds = [event.kind for event in list_events(session, campaign_id, Cursor(), 10)]
    assert kinds[-3:] == ["first", "second", "after"]

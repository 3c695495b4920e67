from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.engine.events import (
    CHANNEL,
    Cursor,
    has_pending_events,
    list_events,
    record,
)
from discovery_service.errors import Unprocessable
from tests import rows
from tests.conftest import Database
from tests.waiting import wait_until


class Reader:
    """Somebody who follows a campaign's events, as the API does."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        with sessions.begin() as session:
            self.campaign_id: UUID = rows.add_campaign(session).id
        self.cursor = Cursor()
        self.read_all("campaign.created")

    def read(self, limit: int = 100) -> list[str]:
        """What is new since the last time."""
        with self.sessions() as session:
            news = list_events(session, self.campaign_id, self.cursor, limit)
        if news:
            self.cursor = Cursor.of(news[-1])
        return [event.kind for event in news]

    def read_all(self, *kinds: str) -> None:
        """Until all of these have come, in this order and nothing else."""
        seen: list[str] = []

        def are_there() -> bool:
            seen.extend(self.read())
            return len(seen) >= len(kinds)

        wait_until(are_there)
        assert seen == list(kinds)

    def is_kept_waiting(self) -> bool:
        with self.sessions() as session:
            return has_pending_events(session, self.campaign_id)

    def write(self, session: Session, kind: str) -> None:
        record(session, self.campaign_id, kind)
        session.flush()


@pytest.fixture
def reader(sessions: Sessions) -> Reader:
    return Reader(sessions)


def test_events_of_one_transaction_come_in_the_order_of_writing(reader: Reader) -> None:
    with reader.sessions.begin() as session:
        for kind in ("a", "b", "c"):
            reader.write(session, kind)
    reader.read_all("a", "b", "c")


def test_an_event_that_commits_late_is_not_skipped(reader: Reader) -> None:
    with reader.sessions.begin() as early:
        reader.write(early, "written first, committed last")
        with reader.sessions.begin() as late:
            reader.write(late, "written last, committed first")
        assert reader.read() == []
        assert reader.is_kept_waiting()
    reader.read_all("written first, committed last", "written last, committed first")
    assert not reader.is_kept_waiting()


def test_an_event_with_a_later_id_of_an_earlier_transaction_is_not_skipped(reader: Reader) -> None:
    with reader.sessions.begin() as early:
        reader.write(early, "a1")
        with reader.sessions.begin() as late:
            reader.write(late, "b1")
        reader.write(early, "a2")
        assert reader.read() == []
    reader.read_all("a1", "a2", "b1")


def test_what_was_committed_before_an_open_transaction_is_read_while_it_is_open(reader: Reader) -> None:
    with reader.sessions.begin() as session:
        reader.write(session, "before")
    with reader.sessions.begin() as unfinished:
        reader.write(unfinished, "unfinished")
        reader.read_all("before")
        assert not reader.is_kept_waiting()
    reader.read_all("unfinished")


def test_an_event_that_is_rolled_back_never_comes_and_holds_nothing_back(reader: Reader) -> None:
    with reader.sessions() as session:
        reader.write(session, "undone")
        session.rollback()
    with reader.sessions.begin() as session:
        reader.write(session, "done")
    reader.read_all("done")


@pytest.fixture
def foreigner(empty_database: Database) -> Iterator[psycopg.Connection]:
    """A connection to another database of the same cluster."""
    with psycopg.connect(empty_database.owner_url) as connection:
        yield connection


def test_an_event_above_a_foreign_transaction_waits_and_arrives(reader: Reader, foreigner: psycopg.Connection) -> None:
    foreigner.execute("SELECT pg_current_xact_id()")
    with reader.sessions.begin() as session:
        reader.write(session, "held back")
    assert reader.read() == []
    assert reader.is_kept_waiting()
    foreigner.rollback()
    reader.read_all("held back")
    assert not reader.is_kept_waiting()


def test_an_event_below_a_foreign_transaction_arrives_at_once(reader: Reader, foreigner: psycopg.Connection) -> None:
    with reader.sessions.begin() as session:
        reader.write(session, "earlier")
    foreigner.execute("SELECT pg_current_xact_id()")
    reader.read_all("earlier")


def test_a_reader_in_steps_sees_what_a_reader_at_once_sees(reader: Reader) -> None:
    start = reader.cursor
    with reader.sessions.begin() as early:
        reader.write(early, "0")
        for number in range(1, 5):
            with reader.sessions.begin() as session:
                reader.write(session, str(number))
    reader.read_all(*"01234")
    reader.cursor = start
    assert [reader.read(limit=2) for _ in range(4)] == [["0", "1"], ["2", "3"], ["4"], []]


def test_a_campaigns_events_are_its_own(reader: Reader) -> None:
    with reader.sessions.begin() as session:
        record(session, rows.add_campaign(session, name="another").id, "elsewhere")
        reader.write(session, "here")
    reader.read_all("here")


def test_a_commit_wakes_whoever_listens(reader: Reader, database: Database) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        with reader.sessions.begin() as session:
            reader.write(session, "news")
        told = next(listener.notifies(timeout=10))
    assert told.payload == str(reader.campaign_id)


@given(st.builds(Cursor, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)))
def test_a_cursor_survives_its_way_through_text(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", "-", "1", "1-", "-1", "1-2-3", "a-b", "1.5-2", "٣-٤", "+1-2", " 1-2", "9" * 40 + "-1"]
)
def test_what_is_no_event_id_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable):
        Cursor.parse(text)


def test_an_event_id_beyond_all_others_is_behind_all_others(reader: Reader) -> None:
    reader.cursor = Cursor.parse("9" * 30 + "-1")
    assert reader.read() == []

"""What tests write of many trainings at once is what workers leave, each by a claim of its own."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.columns import Base
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import CampaignProgress, Evaluation, Event, Measurement
from tests.engine.measured import write_measured
from tests.engine.playing import BUILD, Play, table

ITS_OWN = {
    Evaluation: {"started_at", "finished_at", "measurement_id"},
    Measurement: {"id", "created_at"},
    Event: {"id", "xid", "created_at"},
    CampaignProgress: {"updated_at"},
}
"""What no two runs have in common."""


def read(session: Session, table: type[Base], measured: dict[str, str]) -> list[str]:
    """All rows, with measurements by the hash of their key, which say what was trained."""
    session.flush()
    session.expire_all()
    said = []
    for row in session.scalars(select(table)):
        columns = {each.key: getattr(row, each.key) for each in table.__table__.columns}
        told = {name: value for name, value in columns.items() if name not in ITS_OWN[table]}
        if isinstance(row, Evaluation):
            told |= {"began": row.started_at is not None, "ended": row.finished_at is not None}
            told["measured"] = measured.get(str(row.measurement_id))
        if isinstance(row, Event) and "measurement_id" in row.payload:
            told["payload"] = {**row.payload, "measurement_id": measured[row.payload["measurement_id"]]}
        said.append(repr(sorted(told.items())))
    return sorted(said)


def left_by(play: Play, write: Callable[[Session, Sequence[UUID]], None]) -> dict[str, list[str]]:
    """The rows after that, which is then taken back."""
    row_ids = play.list_waiting()
    with play.sessions() as session:
        write(session, row_ids)
        session.flush()
        measured = {str(row.id): row.key_sha256 for row in session.scalars(select(Measurement))}
        found = {table.__name__: read(session, table, measured) for table in ITS_OWN}
        session.rollback()
    return found


def test_what_is_written_at_once_is_what_claims_leave(sessions: Sessions) -> None:
    """With some that fail, and some that another campaign has had measured."""
    spec: dict[str, Any] = {"rounds": (("cdpo", "exp"),), "library": ("dpo", "ipo")}
    before = Play(sessions, table({}), **{**spec, "rounds": (), "library": ("dpo",)})
    before.run()
    play = Play(sessions, table({"cdpo": 0.3}, failing=["exp"]), **spec)
    play.step()

    def one_by_one(session: Session, row_ids: Sequence[UUID]) -> None:
        for row_id in row_ids:
            play._measure(session, row_id)

    def at_once(session: Session, row_ids: Sequence[UUID]) -> None:
        write_measured(session, row_ids, BUILD, play._train)

    claimed, written = left_by(play, one_by_one), left_by(play, at_once)
    assert claimed == written
    ended = " ".join(written["Evaluation"])
    assert "'is_reused', True" in ended
    assert "EvaluationStatus.FAILED" in ended
    assert "EvaluationStatus.QUEUED" not in ended

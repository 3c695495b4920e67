"""Standings are a projection: rebuilt they are the same, and an edited measurement changes what derives from it."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Candidate, Evaluation, Measurement, Standing
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.standings import Score
from discovery_service.domain.states import Purpose
from discovery_service.engine.standings import Board, Rebuilt, rebuild, write_board
from tests import rows
from tests.engine.playing import Play, table

PLANTED = table({"cdpo": 0.5, "exp": 0.1, "ipo": 0.05})
SETTING = Setting(1.0, 1e-3, 60)
SCREEN, CONFIRM = Purpose.SCREEN, Purpose.CONFIRM


@pytest.fixture
def play(sessions: Sessions) -> Play:
    """A campaign at its end, with five screened and three confirmed."""
    played = Play(sessions, PLANTED, rounds=[("cdpo",), ("exp",)])
    played.run()
    return played


def rescore(play: Play) -> Rebuilt:
    with play.sessions.begin() as session:
        return rebuild(session, play.campaign_id)


def written_at(play: Play) -> dict[tuple[str, str], datetime]:
    with play.sessions() as session:
        query = select(Candidate.name, Standing.stage, Standing.updated_at)
        rows = session.execute(query.join(Standing, Standing.candidate_id == Candidate.id))
        return {(name, stage): updated_at for name, stage, updated_at in rows}


def edit(play: Play, owner: Sessions, name: str, purpose: Purpose, by: float) -> None:
    """One measurement of the loss, by whoever owns the table."""
    with owner.begin() as session:
        edited = (
            select(Evaluation.measurement_id)
            .join(Candidate, Candidate.id == Evaluation.candidate_id)
            .where(Candidate.name == name, Evaluation.purpose == purpose)
            .limit(1)
        )
        metrics = session.scalars(select(Measurement.metrics).where(Measurement.id == edited.scalar_subquery())).one()
        changed: dict[str, Any] = metrics | {"J": metrics["J"] + by}
        session.execute(
            update(Measurement).where(Measurement.id == edited.scalar_subquery()).values(metrics=changed),
            execution_options={"synchronize_session": False},
        )


def test_what_is_rebuilt_is_what_was_stored_at_every_point(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.step()
    standings = set()
    while waiting := play.list_waiting():
        play.measure(waiting[0])
        play.step(waiting[0])
        rebuilt = rescore(play)
        assert rebuilt.differed == 0
        standings.add(rebuilt.standings)
    assert {0, 3, 6} <= standings


def test_an_edited_measurement_changes_exactly_what_derives_from_it(play: Play, owner_sessions: Sessions) -> None:
    screened = {"dpo", "ipo", "slic", "cdpo", "exp"}
    for name, purpose, touched in (
        ("exp", SCREEN, {("exp", "screen")}),
        ("dpo", SCREEN, {(each, "screen") for each in screened}),
        ("cdpo", CONFIRM, {("cdpo", "confirm")}),
        ("ipo", CONFIRM, {("cdpo", "confirm"), ("ipo", "confirm")}),
    ):
        before = written_at(play)
        edit(play, owner_sessions, name, purpose, 0.1)
        assert rescore(play) == Rebuilt(8, len(touched))
        after = written_at(play)
        assert {each for each in before if after[each] != before[each]} == touched
        assert rescore(play) == Rebuilt(8, 0)


def test_an_edit_that_makes_a_loss_worse_takes_its_verdict(play: Play, owner_sessions: Sessions) -> None:
    edit(play, owner_sessions, "cdpo", CONFIRM, -9.0)
    rescore(play)
    assert play.standings(CONFIRM)["cdpo"].verdict == "not distinguishable from"


def test_a_campaign_may_have_more_losses_than_a_statement_has_parameters(sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign = rows.add_campaign(session)
        first = rows.add_candidate(session, campaign)
        arena = rows.find_or_add_arena(session)
        columns = {name: getattr(first, name) for name in ("campaign_id", "proposal_id", "name", "author", "source")}
        more = [{**columns, "turn": turn, "source_sha256": str(turn)} for turn in range(1, 6_000)]
        made = session.scalars(insert(Candidate).returning(Candidate.id), more).all()
        scores = {each: Score(SETTING, 3, Interval(0.5, 0.1, 0.9, 3)) for each in (first.id, *made)}
        board = Board(arena.id, SCREEN, 0)
        assert write_board(session, campaign.id, board, scores) == 6_000
        assert write_board(session, campaign.id, board, scores) == 0
        del scores[first.id]
        assert write_board(session, campaign.id, board, scores) == 1

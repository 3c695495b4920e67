"""What the tables themselves refuse: impossible rows, and the same thing twice."""

from collections.abc import Callable

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from discovery_service.db.columns import Base
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Finalist, Lineage
from discovery_service.domain.states import EvaluationStatus
from tests import rows

NATURAL_KEYS: list[tuple[str, Callable[[Session], Base]]] = [
    ("uq_round_campaign_id_number", lambda session: rows.add_round(session, rows.add_campaign(session))),
    ("uq_proposal_round_id_slot", lambda session: rows.add_proposal(session, rows.add_campaign(session))),
    ("uq_exchange_proposal_id_turn", lambda session: rows.add_exchange(session, rows.add_campaign(session))),
    ("uq_candidate_proposal_id_turn", lambda session: rows.add_candidate(session, rows.add_campaign(session))),
    ("uq_arena_name_content_sha256", lambda session: rows.find_or_add_arena(session)),
    ("uq_freeze_campaign_id_arena_id_extension", lambda session: rows.add_freeze(session, rows.add_campaign(session))),
    ("uq_measurement_key_sha256", lambda session: rows.add_measurement(session)),
    ("uq_evaluation_natural_key", lambda session: rows.add_evaluation(session, rows.add_campaign(session))),
]


def copy_of(row: Base) -> Base:
    """The same row under another primary key."""
    columns = (attribute.key for attribute in inspect(type(row)).column_attrs if attribute.key != "id")
    return type(row)(**{key: getattr(row, key) for key in columns})


@pytest.mark.parametrize(("constraint", "add"), NATURAL_KEYS, ids=[name for name, _ in NATURAL_KEYS])
def test_the_same_thing_is_stored_once(sessions: Sessions, constraint: str, add: Callable[[Session], Base]) -> None:
    with sessions() as session:
        session.add(copy_of(add(session)))
        with pytest.raises(IntegrityError, match=constraint):
            session.flush()


@pytest.mark.parametrize("part", ["base_policy", "setting_sha256", "draw", "salt"])
def test_evaluations_that_differ_in_one_part_of_the_key_are_two(sessions: Sessions, part: str) -> None:
    with sessions.begin() as session:
        other = copy_of(rows.add_evaluation(session, rows.add_campaign(session)))
        setattr(other, part, 1 if part == "base_policy" else "another")
        session.add(other)


def test_an_evaluation_succeeds_with_a_measurement_and_only_then_has_one(sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign = rows.add_campaign(session)
        evaluation = rows.add_evaluation(session, campaign)
        measurement = rows.add_measurement(session, of=evaluation)
        evaluation.status, evaluation.measurement_id = EvaluationStatus.SUCCEEDED, measurement.id
    with sessions() as session, pytest.raises(IntegrityError, match="ck_evaluation_success_is_measured"):
        rows.add_evaluation(session, campaign, status=EvaluationStatus.SUCCEEDED)
    with sessions() as session:
        evaluation = rows.add_evaluation(session, campaign)
        evaluation.measurement_id = rows.add_measurement(session, of=evaluation).id
        with pytest.raises(IntegrityError, match="ck_evaluation_success_is_measured"):
            session.flush()


@pytest.mark.parametrize("table", ["campaign", "round", "proposal", "exchange", "candidate", "evaluation"])
def test_a_status_that_nobody_knows_is_refused(sessions: Sessions, table: str) -> None:
    with sessions() as session:
        campaign = rows.add_campaign(session)
        rows.add_exchange(session, campaign)
        rows.add_evaluation(session, campaign)
        with pytest.raises(IntegrityError, match=f"ck_{table}_{table}status"):
            session.execute(text(f"UPDATE {table} SET status = 'lost'"))


def test_an_author_that_nobody_knows_is_refused(sessions: Sessions) -> None:
    with sessions() as session:
        rows.add_candidate(session, rows.add_campaign(session))
        with pytest.raises(IntegrityError, match="ck_candidate_author"):
            session.execute(text("UPDATE candidate SET author = 'nobody'"))


def test_a_role_that_nobody_knows_is_refused(sessions: Sessions) -> None:
    with sessions.begin() as session:
        campaign = rows.add_campaign(session)
        freeze, candidate = rows.add_freeze(session, campaign), rows.add_candidate(session, campaign)
    lineage = Lineage(child_id=candidate.id, parent_id=candidate.id, role="uncle")
    finalist = Finalist(freeze_id=freeze.id, candidate_id=candidate.id, role="guest", setting={})
    for row in (lineage, finalist):
        with sessions() as session:
            session.add(row)
            with pytest.raises(IntegrityError, match=f"ck_{row.__tablename__}_role_known"):
                session.flush()

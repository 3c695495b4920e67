from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Worker
from discovery_service.domain.states import CampaignStatus, EvaluationStatus
from discovery_service.engine.campaigns import cancel_campaign
from discovery_service.engine.claim import LEASE
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.engine.work import EVALUATION, WORK_KINDS
from discovery_service.engine.workers import (
    UNSEEN_AFTER,
    Process,
    list_isolation,
    note_isolation,
    register_worker,
    see_worker,
    stop_worker,
)
from discovery_service.errors import UsageError
from tests import rows
from tests.conftest import RecordingBell
from tests.engine.conftest import Stage
from tests.waiting import wait_for_blocked


def join(session: Session, name: str, *, earlier_has_ended: bool = True) -> Worker:
    return register_worker(
        session,
        name=name,
        queues=["evaluate"],
        slots=1,
        devices=[],
        process=Process("here", 2),
        has_ended=lambda _: earlier_has_ended,
    )


def register(sessions: Sessions, bell: RecordingBell, name: str) -> Worker:
    with unit_of_work(sessions, bell) as session:
        return join(session, name)


def test_a_restarting_worker_frees_what_its_earlier_incarnation_held(stage: Stage, bell: RecordingBell) -> None:
    held = {kind: stage.add_held(kind) for kind in WORK_KINDS}
    register(stage.sessions, bell, stage.get_worker().name)
    for kind, claim in held.items():
        row = stage.get(claim)
        assert (row.status, row.crashes, row.lease_owner) == (kind.waiting, 0, None)
    assert sorted(bell.rings) == sorted((kind.task, kind.queue, str(claim.id)) for kind, claim in held.items())
    assert stage.get_worker().stopped_at is not None


def test_of_workers_that_start_under_one_name_at_once_one_lives_and_the_others_are_told(
    stage: Stage, bell: RecordingBell, threads: ThreadPoolExecutor
) -> None:
    def start() -> Worker:
        with unit_of_work(stage.sessions, bell) as session:
            return join(session, "twin", earlier_has_ended=False)

    with unit_of_work(stage.sessions, bell) as session:
        first = join(session, "twin")
        starting = [threads.submit(start) for _ in range(3)]
        wait_for_blocked(stage.sessions, 3)
    for late in starting:
        with pytest.raises(UsageError, match="--name"):
            late.result()
    with stage.sessions() as session:
        living = select(Worker.id).where(Worker.name == "twin", Worker.stopped_at.is_(None))
        assert session.scalars(living).all() == [first.id]


def test_a_claim_under_way_does_not_wait_for_the_next_incarnation_which_would_wait_for_it(
    stage: Stage, bell: RecordingBell
) -> None:
    row_id = stage.add_work()
    with unit_of_work(stage.sessions, bell) as session:
        join(session, stage.get_worker().name)
        assert stage.claim(EVALUATION, row_id) is not None


def test_a_name_is_free_once_nobody_saw_its_worker_for_a_while(stage: Stage) -> None:
    with stage.sessions.begin() as session:
        session.get_one(Worker, stage.worker_id).seen_at = func.now() - UNSEEN_AFTER - timedelta(seconds=1)
    with stage.sessions.begin() as session:
        join(session, stage.get_worker().name, earlier_has_ended=False)
    assert stage.get_worker().stopped_at is not None


def test_a_worker_of_another_name_frees_nothing(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    register(stage.sessions, bell, "another")
    assert stage.get(held).lease_owner == stage.worker_id
    assert stage.get_worker().stopped_at is None
    assert bell.rings == []


def test_a_stopping_worker_gives_its_leases_back_without_a_crash(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    with unit_of_work(stage.sessions, bell) as session:
        stop_worker(session, stage.worker_id)
    row = stage.get(held)
    assert (row.status, row.crashes) == (EvaluationStatus.QUEUED, 0)
    assert [row_id for _, _, row_id in bell.rings] == [str(held.id)]
    assert stage.get_worker().stopped_at is not None


def test_a_worker_that_stops_during_a_cancellation_ends_it(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    with stage.sessions.begin() as session:
        cancel_campaign(session, stage.campaign_id)
        stop_worker(session, stage.worker_id)
    assert stage.get(held).status is EvaluationStatus.CANCELLED
    assert stage.get_campaign().status is CampaignStatus.CANCELLED


def test_a_living_worker_is_seen_and_a_replaced_one_learns_of_it(stage: Stage, bell: RecordingBell) -> None:
    before = stage.get_worker().seen_at
    with stage.sessions.begin() as session:
        assert see_worker(session, stage.worker_id)
    assert stage.get_worker().seen_at > before

    newer = register(stage.sessions, bell, stage.get_worker().name)
    with stage.sessions.begin() as session:
        assert not see_worker(session, stage.worker_id)
        assert see_worker(session, newer.id)
        living = select(func.count()).select_from(Worker).where(Worker.stopped_at.is_(None))
        assert session.scalar(living) == 1


def test_a_worker_that_was_not_seen_for_a_while_is_seen_since_it_came_back(stage: Stage) -> None:
    since = stage.get_worker().seen_since
    with stage.sessions.begin() as session:
        session.get_one(Worker, stage.worker_id).seen_at = func.now() - UNSEEN_AFTER / 2
    with stage.sessions.begin() as session:
        assert see_worker(session, stage.worker_id)
    assert stage.get_worker().seen_since == since

    with stage.sessions.begin() as session:
        session.get_one(Worker, stage.worker_id).seen_at = func.now() - UNSEEN_AFTER - timedelta(seconds=1)
    with stage.sessions.begin() as session:
        assert see_worker(session, stage.worker_id)
    worker = stage.get_worker()
    assert worker.seen_since == worker.seen_at


def test_an_outage_that_ends_a_lease_is_never_too_short_to_be_noticed() -> None:
    assert UNSEEN_AFTER < LEASE


def test_a_worker_learns_how_well_the_others_are_locked(stage: Stage) -> None:
    with stage.sessions.begin() as session:
        other, stopped = rows.add_worker(session), rows.add_worker(session)
        for worker_id, level in ((stage.worker_id, "unavailable"), (other.id, "full"), (stopped.id, "seccomp")):
            note_isolation(session, worker_id, level)
        stop_worker(session, stopped.id)
    with stage.sessions.begin() as session:
        assert sorted(list_isolation(session)) == ["full", "unavailable"]
        assert list_isolation(session, besides=stage.worker_id) == ["full"]

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import ApiKey, Campaign, GateCheck, Idempotency, Worker
from discovery_service.domain.states import CampaignStatus, EvaluationStatus
from discovery_service.engine.campaigns import cancel_campaign, get_campaign, pause_campaign, resume_campaign
from discovery_service.engine.claim import claim, hand_on
from discovery_service.engine.dispatch import RING_AT_MOST, unit_of_work
from discovery_service.engine.sweep import Swept, sweep
from discovery_service.engine.work import EVALUATION, EXCHANGE, WORK_KINDS, WorkKind
from discovery_service.engine.workers import see_worker, stop_worker
from tests import rows
from tests.conftest import RecordingBell
from tests.engine.conftest import Stage
from tests.waiting import wait_for_blocked

LONG_AGO = func.now() - timedelta(hours=1)


def sweep_once(sessions: Sessions, bell: RecordingBell, **messages_waiting: int) -> Swept:
    with unit_of_work(sessions, bell) as session:
        return sweep(session, messages_waiting=messages_waiting)


def lose_worker(stage: Stage) -> None:
    with stage.sessions.begin() as session:
        session.get_one(Worker, stage.worker_id).seen_at = LONG_AGO


@pytest.mark.parametrize("kind", WORK_KINDS, ids=lambda kind: kind.name)
def test_work_of_a_lost_worker_waits_again_without_a_crash(stage: Stage, bell: RecordingBell, kind: WorkKind) -> None:
    held = stage.add_held(kind)
    stage.set(held, lease_expires_at=LONG_AGO)
    lose_worker(stage)
    assert sweep_once(stage.sessions, bell).expired == 1
    row = stage.get(held)
    assert (row.status, row.crashes, row.lease_owner) == (kind.waiting, 0, None)
    assert bell.rings == [(kind.task, kind.queue, str(held.id))]


def test_a_lease_that_lapses_under_a_living_worker_is_a_crash(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    stage.set(held, lease_expires_at=LONG_AGO)
    assert sweep_once(stage.sessions, bell).expired == 1
    assert stage.get(held).crashes == 1


def test_a_lease_that_lapsed_while_nobody_reached_the_database_is_no_crash(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    stage.set(held, lease_expires_at=LONG_AGO)
    lose_worker(stage)
    with stage.sessions.begin() as session:
        assert see_worker(session, stage.worker_id)  # the database is back, and the worker is faster than the sweep
    assert sweep_once(stage.sessions, bell).expired == 1
    row = stage.get(held)
    assert (row.status, row.crashes, row.interruptions) == (EvaluationStatus.QUEUED, 0, 1)


def test_a_lease_that_holds_is_left_alone(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    lose_worker(stage)
    assert sweep_once(stage.sessions, bell) == Swept(expired=0, rung=0)
    assert stage.get(held).status is EvaluationStatus.RUNNING


def test_a_second_sweep_finds_nothing_left_to_do(stage: Stage, bell: RecordingBell) -> None:
    stage.set(stage.add_held(), lease_expires_at=LONG_AGO)
    stage.add_work()
    assert sweep_once(stage.sessions, bell) == Swept(expired=1, rung=1)
    assert sweep_once(stage.sessions, bell) == Swept(expired=0, rung=0)
    assert len(bell.rings) == 2


def test_two_sweeps_at_once_do_everything_once(stage: Stage, bell: RecordingBell, threads: ThreadPoolExecutor) -> None:
    held = stage.add_held()
    stage.set(held, lease_expires_at=LONG_AGO)
    waiting = stage.add_work()
    with unit_of_work(stage.sessions, bell) as session:
        first = sweep(session, messages_waiting={})
        second = threads.submit(sweep_once, stage.sessions, bell)
        wait_for_blocked(stage.sessions, 1)
    assert (first.expired, second.result().expired) == (1, 0)
    assert stage.get(held).crashes == 1
    assert sorted(bell.rings) == sorted(("evaluate.train", "evaluate", str(row)) for row in (held.id, waiting))
    assert stage.events().count("evaluation.crashed") == 1


@pytest.mark.parametrize("act", ["sweep", "stop"])
def test_whoever_takes_several_campaigns_takes_them_in_one_order(
    sessions: Sessions, bell: RecordingBell, threads: ThreadPoolExecutor, act: str
) -> None:
    """Or two who do could wait for each other. Exchanges are looked at before evaluations."""
    lower, higher = (Stage(sessions) for _ in range(2))
    higher.worker_id = lower.worker_id
    for stage, kind in ((higher, EXCHANGE), (lower, EVALUATION)):
        stage.set(stage.add_held(kind), lease_expires_at=LONG_AGO)
    with sessions.begin() as session:  # what was written last is found last
        session.get_one(Campaign, lower.campaign_id).notes = "edited"

    def take() -> None:
        with unit_of_work(sessions, bell) as session:
            # An index would bring the rows in order by itself; nothing promises one.
            session.connection().exec_driver_sql("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
            if act == "sweep":
                sweep(session, messages_waiting={})
            else:
                stop_worker(session, lower.worker_id)

    with sessions.begin() as session:
        get_campaign(session, higher.campaign_id, lock=True)
        taking = threads.submit(take)
        wait_for_blocked(sessions, 1)
        with sessions() as other, pytest.raises(OperationalError, match="could not obtain lock"):
            other.execute(select(Campaign).where(Campaign.id == lower.campaign_id).with_for_update(nowait=True))
    taking.result()


def test_work_that_was_never_rung_for_is_rung_for(stage: Stage, bell: RecordingBell) -> None:
    waiting = {kind: stage.add_work(kind) for kind in WORK_KINDS}
    assert sweep_once(stage.sessions, bell).rung == 3
    assert bell.rings == [(kind.task, kind.queue, str(row_id)) for kind, row_id in waiting.items()]


@pytest.mark.parametrize(("seconds", "is_rung"), [(50, False), (70, True)])
def test_work_is_rung_for_again_after_a_minute(stage: Stage, bell: RecordingBell, seconds: int, is_rung: bool) -> None:
    row_id = stage.add_work()
    stage.set((EVALUATION, row_id), rung_at=func.now() - timedelta(seconds=seconds))
    assert sweep_once(stage.sessions, bell).rung == is_rung


@pytest.mark.parametrize(("seconds", "is_due"), [(60, False), (-1, True)])
def test_a_question_is_rung_for_and_taken_only_once_its_endpoint_wants_to_be_asked(
    stage: Stage, bell: RecordingBell, *, seconds: int, is_due: bool
) -> None:
    """Neither by the sweep nor by a resumption, and by no message that comes late."""
    row_id = stage.add_work(EXCHANGE)
    stage.set((EXCHANGE, row_id), rung_at=LONG_AGO, not_before=func.now() + timedelta(seconds=seconds))
    assert sweep_once(stage.sessions, bell).rung == is_due
    bell.rings.clear()
    with unit_of_work(stage.sessions, bell) as session:
        hand_on(session, EXCHANGE, row_id)
        pause_campaign(session, stage.campaign_id)
        resume_campaign(session, stage.campaign_id)
    assert [task for task, *_ in bell.rings if task == EXCHANGE.task] == [EXCHANGE.task] * is_due
    assert (stage.claim(EXCHANGE, row_id) is not None) == is_due


@pytest.mark.parametrize("status", [CampaignStatus.QUEUED, CampaignStatus.PAUSED])
def test_nothing_is_rung_for_a_campaign_that_does_not_run(
    stage: Stage, bell: RecordingBell, status: CampaignStatus
) -> None:
    stage.add_work()
    with stage.sessions.begin() as session:
        session.get_one(Campaign, stage.campaign_id).status = status
    assert sweep_once(stage.sessions, bell).rung == 0


def add_backlog(stage: Stage, count: int) -> None:
    with stage.sessions.begin() as session:
        campaign = session.get_one(Campaign, stage.campaign_id)
        candidate = rows.add_candidate(session, campaign)
        for _ in range(count):
            rows.add_evaluation(session, campaign, candidate=candidate)


def test_a_backlog_is_rung_for_piece_by_piece_the_longest_forgotten_first(stage: Stage, bell: RecordingBell) -> None:
    add_backlog(stage, RING_AT_MOST + 20)
    assert sweep_once(stage.sessions, bell).rung == RING_AT_MOST
    assert sweep_once(stage.sessions, bell).rung == 20
    assert sweep_once(stage.sessions, bell).rung == 0
    assert len(set(bell.rings)) == RING_AT_MOST + 20


def test_a_queue_that_still_holds_messages_gets_no_more(stage: Stage, bell: RecordingBell) -> None:
    add_backlog(stage, 1)
    assert sweep_once(stage.sessions, bell, evaluate=RING_AT_MOST).rung == 0
    assert sweep_once(stage.sessions, bell, gate=RING_AT_MOST, evaluate=RING_AT_MOST - 1).rung == 1


def test_a_sweep_does_not_wait_for_work_that_is_just_being_claimed(stage: Stage, bell: RecordingBell) -> None:
    row_id = stage.add_work()
    with stage.sessions.begin() as claiming, unit_of_work(stage.sessions, bell) as session:
        assert claim(claiming, EVALUATION, row_id, stage.worker_id) is not None
        session.connection().exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        assert sweep(session, messages_waiting={}) == Swept(expired=0, rung=0)


def test_a_cancellation_whose_last_worker_was_lost_is_settled(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    with stage.sessions.begin() as session:
        cancel_campaign(session, stage.campaign_id)
    stage.set(held, lease_expires_at=LONG_AGO)
    sweep_once(stage.sessions, bell)
    assert stage.get(held).status is EvaluationStatus.CANCELLED
    assert stage.get_campaign().status is CampaignStatus.CANCELLED


def test_a_cancellation_that_nobody_finished_is_settled(stage: Stage, bell: RecordingBell) -> None:
    with stage.sessions.begin() as session:
        session.get_one(Campaign, stage.campaign_id).status = CampaignStatus.CANCELLING
    sweep_once(stage.sessions, bell)
    assert stage.get_campaign().status is CampaignStatus.CANCELLED


def test_work_that_crashed_too_often_is_abandoned_by_the_sweep(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    stage.set(held, lease_expires_at=LONG_AGO, crashes=2)
    sweep_once(stage.sessions, bell)
    assert stage.get(held).status is EvaluationStatus.ABANDONED
    assert stage.get_campaign().status_reason is not None
    assert bell.rings == []


def test_answers_are_kept_as_long_as_somebody_may_ask_again(sessions: Sessions, bell: RecordingBell) -> None:
    with sessions.begin() as session:
        key = ApiKey(name="k", digest=b"0", prefix="dls_", last_four="0000", scopes=[])
        session.add(key)
        session.flush()
        for name, age in (("old", timedelta(hours=25)), ("young", timedelta(hours=23))):
            replay = {"api_key_id": key.id, "route": "r", "key": name, "request_sha256": "0", "body": {}}
            session.add(Idempotency(**replay, created_at=func.now() - age))
        for source, age in (("old", timedelta(minutes=61)), ("young", timedelta(minutes=59))):
            session.add(GateCheck(family="pairwise", source=source, created_at=func.now() - age))
    sweep_once(sessions, bell)
    with sessions() as session:
        assert session.scalars(select(Idempotency.key)).all() == ["young"]
        assert session.scalars(select(GateCheck.source)).all() == ["young"]

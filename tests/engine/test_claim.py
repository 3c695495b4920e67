from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from structlog.testing import CapturingLogger

from discovery_service.db.tables import Campaign, Event
from discovery_service.domain.isolation import Level
from discovery_service.domain.states import CampaignStatus, CandidateStatus, EvaluationStatus, ExchangeStatus
from discovery_service.engine.campaigns import cancel_campaign, get_campaign, pause_campaign
from discovery_service.engine.claim import (
    LEASE,
    MAX_CRASHES,
    MAX_INTERRUPTIONS,
    Claim,
    Renewal,
    claim,
    crash,
    finish,
    renew,
)
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.engine.work import CANDIDATE, EVALUATION, EXCHANGE, WORK_KINDS, WorkKind
from discovery_service.engine.workers import stop_worker
from discovery_service.errors import IllegalTransition
from tests import rows
from tests.conftest import RecordingBell
from tests.engine.conftest import Stage
from tests.waiting import wait_for_blocked

GOOD_END = {
    EXCHANGE: ExchangeStatus.ANSWERED,
    CANDIDATE: CandidateStatus.ACCEPTED,
    EVALUATION: EvaluationStatus.FAILED,
}


@pytest.mark.parametrize("kind", WORK_KINDS, ids=lambda kind: kind.name)
def test_work_of_each_kind_is_claimed_and_finished(stage: Stage, kind: WorkKind) -> None:
    held = stage.add_held(kind)
    row = stage.get(held)
    assert (row.status, row.attempt, row.lease_owner) == (kind.held, 1, stage.worker_id)
    assert row.lease_expires_at is not None
    assert row.started_at is not None
    assert row.lease_expires_at - row.started_at == LEASE

    with stage.sessions.begin() as session:
        assert finish(session, held, GOOD_END[kind])
    row = stage.get(held)
    assert (row.status, row.lease_owner, row.lease_expires_at) == (GOOD_END[kind], None, None)
    assert row.finished_at is not None
    assert stage.events()[-2:] == [f"{kind.name}.{kind.held}", f"{kind.name}.{GOOD_END[kind]}"]


def test_of_two_workers_that_claim_one_row_one_wins_and_the_other_says_so_at_debug(
    stage: Stage, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr("discovery_service.engine.claim.log", log)
    row_id = stage.add_work()
    together = Barrier(2)

    def try_it() -> Claim | None:
        with stage.sessions.begin() as session:
            session.connection()
            together.wait()
            return claim(session, EVALUATION, row_id, stage.worker_id)

    tries = [threads.submit(try_it) for _ in range(2)]
    won = [held for each in tries if (held := each.result()) is not None]
    assert [(held.id, held.attempt) for held in won] == [(row_id, 1)]
    assert [(call.method_name, call.args, call.kwargs["id"]) for call in log.calls] == [
        ("debug", ("claim.lost",), str(row_id))
    ]


@pytest.mark.parametrize(("demanded", "is_taken"), [(None, True), ("seccomp", True), ("full", False)])
def test_a_worker_whose_jail_is_locked_less_than_the_campaign_demands_claims_nothing(
    stage: Stage, demanded: str | None, is_taken: bool
) -> None:
    row_id = stage.add_work(CANDIDATE)
    with stage.sessions.begin() as session:
        campaign = session.get_one(Campaign, stage.campaign_id)
        campaign.spec = {**campaign.spec, "isolation": demanded}
    with stage.sessions.begin() as session:
        held = claim(session, CANDIDATE, row_id, stage.worker_id, isolation=Level.SECCOMP)
    assert (held is not None) is is_taken


def test_a_row_that_is_claimed_while_another_claim_is_uncommitted_goes_to_the_first(
    stage: Stage, threads: ThreadPoolExecutor
) -> None:
    row_id = stage.add_work()
    with stage.sessions.begin() as session:
        first = claim(session, EVALUATION, row_id, stage.worker_id)
        second = threads.submit(stage.claim, EVALUATION, row_id)
        wait_for_blocked(stage.sessions, 1)
    assert first is not None
    assert second.result() is None


def test_a_row_that_does_not_exist_is_a_lost_claim(stage: Stage) -> None:
    assert stage.claim(EVALUATION, uuid4()) is None


def test_a_worker_whose_row_is_closed_claims_nothing(stage: Stage) -> None:
    row_id = stage.add_work()
    with stage.sessions.begin() as session:
        stop_worker(session, stage.worker_id)
    assert stage.claim(EVALUATION, row_id) is None
    assert stage.get((EVALUATION, row_id)).attempt == 0


@pytest.mark.parametrize("status", [status for status in CampaignStatus if status is not CampaignStatus.RUNNING])
def test_only_a_running_campaigns_work_is_claimed(stage: Stage, status: CampaignStatus) -> None:
    row_id = stage.add_work()
    with stage.sessions.begin() as session:
        session.get_one(Campaign, stage.campaign_id).status = status
    assert stage.claim(EVALUATION, row_id) is None
    assert stage.get((EVALUATION, row_id)).attempt == 0


def test_whoever_was_told_paused_sees_nothing_start_any_more(stage: Stage, threads: ThreadPoolExecutor) -> None:
    row_id = stage.add_work()
    with stage.sessions.begin() as session:
        pause_campaign(session, stage.campaign_id)
        late = threads.submit(stage.claim, EVALUATION, row_id)
        wait_for_blocked(stage.sessions, 1)
    assert late.result() is None


def test_a_renewal_extends_the_lease_and_tells_of_a_pause_and_a_cancellation(stage: Stage) -> None:
    held = stage.add_held()
    stage.set(held, lease_expires_at=func.now() - timedelta(seconds=1))
    with stage.sessions.begin() as session:
        renewal = renew(session, held)
        assert renewal == Renewal(is_held=True, cancel_requested=False, is_paused=False)
        assert session.get_one(held.kind.table, held.id).lease_expires_at - session.scalar(func.now()) == LEASE
    with stage.sessions.begin() as session:
        rows.add_campaign(session)  # beside one that is not
        pause_campaign(session, stage.campaign_id)
    with stage.sessions.begin() as session:
        assert renew(session, held) == Renewal(is_held=True, cancel_requested=False, is_paused=True)
    with stage.sessions.begin() as session:
        cancel_campaign(session, stage.campaign_id)
    with stage.sessions.begin() as session:
        assert renew(session, held) == Renewal(is_held=True, cancel_requested=True, is_paused=False)


def test_a_zombies_late_writes_change_nothing(stage: Stage) -> None:
    zombie = stage.add_held()
    with stage.sessions.begin() as session:
        assert crash(session, zombie, "its worker was lost", counts=False)
    successor = stage.claim(EVALUATION, zombie.id)
    assert successor is not None
    assert successor.attempt == 2
    events = stage.events()

    with stage.sessions.begin() as session:
        assert not renew(session, zombie).is_held
        assert not finish(session, zombie, EvaluationStatus.FAILED, failure={"code": "late"})
        assert not crash(session, zombie, "late")
    row = stage.get(successor)
    assert (row.status, row.attempt, row.failure, row.crashes) == (EvaluationStatus.RUNNING, 2, None, 0)
    assert stage.events() == events
    with stage.sessions.begin() as session:
        assert finish(session, successor, EvaluationStatus.FAILED)


def test_the_event_of_an_end_carries_what_is_told_of_it(stage: Stage) -> None:
    held = stage.add_held(CANDIDATE)
    with stage.sessions.begin() as session:
        finish(session, held, CandidateStatus.REJECTED, told={"code": "duplicate", "twin": "dpo"})
    with stage.sessions() as session:
        payload = session.scalar(select(Event.payload).where(Event.kind == "candidate.rejected"))
    assert payload == {"attempt": 1, "name": "a_loss", "code": "duplicate", "twin": "dpo"}


def test_what_is_finished_is_finished_once(stage: Stage) -> None:
    held = stage.add_held()
    with stage.sessions.begin() as session:
        assert finish(session, held, EvaluationStatus.FAILED)
    with stage.sessions.begin() as session:
        assert not finish(session, held, EvaluationStatus.CANCELLED)
    assert stage.get(held).status is EvaluationStatus.FAILED


@pytest.mark.parametrize("status", [ExchangeStatus.FAILED, CandidateStatus.ACCEPTED])
def test_work_cannot_end_in_a_state_of_another_kind(stage: Stage, status: Any) -> None:
    held = stage.add_held()
    with stage.sessions.begin() as session, pytest.raises(IllegalTransition):
        finish(session, held, status)


def test_a_crashed_attempt_waits_again_and_is_rung_for(stage: Stage, bell: RecordingBell) -> None:
    held = stage.add_held()
    with unit_of_work(stage.sessions, bell) as session:
        assert crash(session, held, "the device failed")
    row = stage.get(held)
    assert (row.status, row.crashes, row.lease_owner, row.finished_at) == (EvaluationStatus.QUEUED, 1, None, None)
    assert row.rung_at is not None
    assert bell.rings == [("evaluate.train", "evaluate", str(held.id))]
    assert stage.events()[-2:] == ["evaluation.crashed", "evaluation.queued"]


def crash_repeatedly(stage: Stage, times: int, *, counts: bool) -> Claim:
    row_id = stage.add_work()
    for _ in range(times):
        held = stage.claim(EVALUATION, row_id)
        assert held is not None
        with stage.sessions.begin() as session:
            assert crash(session, held, "the device failed", counts=counts)
    return held


def test_after_three_crashes_work_is_abandoned_and_the_campaign_pauses_with_the_reason(stage: Stage) -> None:
    held = crash_repeatedly(stage, MAX_CRASHES, counts=True)
    row = stage.get(held)
    assert (row.status, row.crashes, row.attempt) == (EvaluationStatus.ABANDONED, 3, 3)
    assert row.finished_at is not None
    campaign = stage.get_campaign()
    assert campaign.status is CampaignStatus.PAUSED
    assert campaign.status_reason == f"The evaluation {held.id} was abandoned after attempt 3: the device failed."
    assert stage.events()[-3:] == ["evaluation.crashed", "evaluation.abandoned", "campaign.paused"]


def test_after_two_crashes_work_still_waits(stage: Stage) -> None:
    held = crash_repeatedly(stage, MAX_CRASHES - 1, counts=True)
    assert stage.get(held).status is EvaluationStatus.QUEUED
    assert stage.get_campaign().status is CampaignStatus.RUNNING


def test_a_lost_worker_is_no_crash_of_the_work(stage: Stage) -> None:
    held = crash_repeatedly(stage, MAX_CRASHES + 1, counts=False)
    row = stage.get(held)
    assert (row.status, row.crashes, row.interruptions, row.attempt) == (EvaluationStatus.QUEUED, 0, 4, 4)


def test_work_that_takes_every_worker_along_ends_too(stage: Stage) -> None:
    held = crash_repeatedly(stage, MAX_INTERRUPTIONS, counts=False)
    row = stage.get(held)
    assert (row.status, row.attempt) == (EvaluationStatus.ABANDONED, 12)
    assert stage.get_campaign().status is CampaignStatus.PAUSED


def test_work_that_is_tried_once_more_has_all_its_lives_again_and_keeps_its_fence(stage: Stage) -> None:
    held = crash_repeatedly(stage, MAX_INTERRUPTIONS - 1, counts=False)
    stage.set(held, interruptions=0)
    again = stage.claim(EVALUATION, held.id)
    assert again is not None
    assert again.attempt == MAX_INTERRUPTIONS
    with stage.sessions.begin() as session:
        assert crash(session, again, "its worker was lost", counts=False)
    assert stage.get(again).status is EvaluationStatus.QUEUED


def test_a_campaign_that_is_paused_already_keeps_its_reason_when_work_is_abandoned(stage: Stage) -> None:
    row_id = stage.add_work()
    stage.set((EVALUATION, row_id), crashes=MAX_CRASHES - 1)
    held = stage.claim(EVALUATION, row_id)
    assert held is not None
    with stage.sessions.begin() as session:
        pause_campaign(session, stage.campaign_id)
        assert crash(session, held, "the device failed")
    assert stage.get(held).status is EvaluationStatus.ABANDONED
    assert stage.get_campaign().status_reason is None


def test_a_crash_after_a_cancellation_ends_the_work_and_the_campaign(stage: Stage) -> None:
    held = stage.add_held()
    with stage.sessions.begin() as session:
        cancel_campaign(session, stage.campaign_id)
    with stage.sessions.begin() as session:
        assert crash(session, held, "the device failed")
    assert stage.get(held).status is EvaluationStatus.CANCELLED
    assert stage.get_campaign().status is CampaignStatus.CANCELLED


@pytest.mark.parametrize("status", [CampaignStatus.CANCELLING, CampaignStatus.COMPLETED])
def test_what_would_wait_again_where_nobody_would_take_it_is_cancelled(stage: Stage, status: CampaignStatus) -> None:
    """As a question whose endpoint answers 500 just after the cancel, or after the search was cut."""
    put_back, crashed = stage.add_held(EXCHANGE), stage.add_held(EXCHANGE)
    with stage.sessions.begin() as session:
        if status is CampaignStatus.CANCELLING:
            cancel_campaign(session, stage.campaign_id)
        else:
            session.get_one(Campaign, stage.campaign_id).status = status
    with stage.sessions.begin() as session:
        assert finish(session, put_back, ExchangeStatus.QUEUED)
        assert crash(session, crashed, "the database was gone")
    assert {stage.get(each).status for each in (put_back, crashed)} == {ExchangeStatus.CANCELLED}
    assert stage.get(put_back).finished_at is not None


Act = Callable[[Session, Claim], object]
CANCEL: Act = lambda session, held: cancel_campaign(session, held.campaign_id)  # noqa: E731 - reads as data below
CRASH: Act = lambda session, held: crash(session, held, "its lease lapsed")  # noqa: E731
FINISH: Act = lambda session, held: finish(session, held, EvaluationStatus.FAILED)  # noqa: E731


@pytest.mark.parametrize(
    ("first", "second", "campaign", "ends"),
    [
        (CANCEL, CRASH, CampaignStatus.RUNNING, EvaluationStatus.CANCELLED),
        (CANCEL, FINISH, CampaignStatus.RUNNING, EvaluationStatus.FAILED),
        (CRASH, FINISH, CampaignStatus.CANCELLING, EvaluationStatus.CANCELLED),
        (FINISH, CRASH, CampaignStatus.CANCELLING, EvaluationStatus.FAILED),
        (CRASH, CANCEL, CampaignStatus.RUNNING, EvaluationStatus.CANCELLED),
    ],
    ids=["cancel, crash", "cancel, finish", "crash, finish", "finish, crash", "crash, cancel"],
)
def test_two_who_move_the_same_work_at_once_never_wait_for_each_other(
    stage: Stage,
    threads: ThreadPoolExecutor,
    first: Act,
    second: Act,
    campaign: CampaignStatus,
    ends: EvaluationStatus,
) -> None:
    """Both queue up for the campaign; whoever had locked the work's row before would now be in a deadlock."""
    held = stage.add_held()
    cancelled_at = func.now() if campaign is CampaignStatus.CANCELLING else None
    stage.set(held, cancel_requested_at=cancelled_at)
    with stage.sessions.begin() as session:
        session.get_one(Campaign, stage.campaign_id).status = campaign

    def act(what: Act) -> None:
        with stage.sessions.begin() as session:
            what(session, held)

    with stage.sessions.begin() as session:
        get_campaign(session, stage.campaign_id, lock=True)
        one = threads.submit(act, first)
        wait_for_blocked(stage.sessions, 1)
        other = threads.submit(act, second)
        wait_for_blocked(stage.sessions, 2)
    one.result()
    other.result()
    assert stage.get(held).status is ends
    assert stage.get_campaign().status is CampaignStatus.CANCELLED

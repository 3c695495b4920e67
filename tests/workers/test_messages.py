"""Messages between real processes: what is lost, late or doubled does no harm."""

import signal
from datetime import timedelta
from typing import Any

import pytest
from kombu import Connection, Producer
from sqlalchemy import func, select, update

from discovery_service.db.tables import Campaign, Candidate, Evaluation, Event, Worker
from discovery_service.domain.states import CampaignStatus, CandidateStatus, EvaluationStatus
from discovery_service.engine.campaigns import cancel_campaign
from discovery_service.engine.dispatch import ring, unit_of_work
from discovery_service.engine.sweep import sweep
from discovery_service.engine.work import CANDIDATE, EVALUATION
from discovery_service.local import guard
from tests import rows
from tests.waiting import DEADLINE_S, is_alive, wait_until
from tests.workers.conftest import Fleet, Search

LONG_AGO = func.now() - timedelta(hours=1)
RUNNING, SUCCEEDED = EvaluationStatus.RUNNING, EvaluationStatus.SUCCEEDED


def test_evaluations_whose_messages_were_wiped_all_run_exactly_once(
    fleet: Fleet, search: Search, redis_client: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    queued = search.add(24)
    assert search.bell.count_messages()["evaluate"] == 24
    redis_client.flushdb()  # FLUSHALL, as far as the broker can tell, on a server that may be somebody's
    with search.sessions.begin() as session:
        session.execute(update(Evaluation).values(rung_at=LONG_AGO))

    for kind in ("evaluate", "gate"):
        fleet.start_worker(kind)
    beats_home = tmp_path_factory.mktemp("beat")
    fleet.start_beat(beats_home)
    search.wait_for(SUCCEEDED, *queued)
    assert search.count_runs() == dict.fromkeys(queued, 1)
    assert search.count_measurements() == 24
    assert {search.get(row_id).attempt for row_id in queued} == {1}
    assert list(beats_home.iterdir()) == []


def test_a_wipe_under_working_workers_loses_nothing(fleet: Fleet, search: Search, redis_client: Any) -> None:
    fleet.start_worker()
    search.wait_for(SUCCEEDED, *search.add())
    redis_client.flushdb()
    search.wait_for(SUCCEEDED, *search.add(4))


def test_evaluations_that_are_rung_for_many_times_run_once(fleet: Fleet, search: Search) -> None:
    queued = search.add(8)
    for _ in range(4):
        search.bell.ring([(EVALUATION.task, EVALUATION.queue, str(row_id)) for row_id in queued])
    for name in ("evaluate@one", "evaluate@two"):
        fleet.start_worker(name=name)
    search.wait_for(SUCCEEDED, *queued)
    wait_until(lambda: not any(search.bell.count_messages().values()))
    assert search.count_runs() == dict.fromkeys(queued, 1)
    wait_until(lambda: fleet.read_logs().count("claim.lost") == 4 * 8)


def test_work_of_a_killed_worker_runs_again_when_the_worker_is_back(fleet: Fleet, search: Search) -> None:
    first = fleet.start_worker()
    (held,) = search.add(hold=True)
    search.wait_for(RUNNING, held)
    first.kill()
    first.wait()
    assert search.get(held).status is RUNNING

    fleet.start_worker()
    search.wait_for(SUCCEEDED, held)
    row = search.get(held)
    assert (row.attempt, row.crashes) == (2, 0)
    assert search.count_runs() == {held: 2}
    assert search.count_measurements() == 1


def test_work_of_a_killed_worker_goes_to_another_one_when_its_lease_has_lapsed(fleet: Fleet, search: Search) -> None:
    lost = fleet.start_worker(name="evaluate@lost")
    (held,) = search.add(hold=True)
    search.wait_for(RUNNING, held)
    lost.kill()
    lost.wait()
    fleet.start_worker(name="evaluate@other")
    with search.sessions.begin() as session:
        session.execute(update(Evaluation).values(lease_expires_at=LONG_AGO))
        session.execute(update(Worker).where(Worker.name == "evaluate@lost").values(seen_at=LONG_AGO))
    with unit_of_work(search.sessions, search.bell) as session:
        assert sweep(session, messages_waiting={}).expired == 1
    search.wait_for(SUCCEEDED, held)
    assert (search.get(held).attempt, search.get(held).crashes) == (2, 0)
    assert search.count_measurements() == 1


def test_a_worker_that_is_told_to_stop_gives_its_leases_back(fleet: Fleet, search: Search) -> None:
    stopping = fleet.start_worker(name="evaluate@stopping")
    (held,) = search.add(hold=True)
    search.wait_for(RUNNING, held)
    stopping.send_signal(signal.SIGTERM)
    assert stopping.wait(DEADLINE_S) == 0

    row = search.get(held)
    assert (row.status, row.crashes, row.lease_owner) == (EvaluationStatus.QUEUED, 0, None)
    with search.sessions() as session:
        assert session.scalar(select(Worker.stopped_at)) is not None
    # The bell was rung at once; nobody has to wait for the sweeper.
    assert search.bell.count_messages()["evaluate"] == 1
    fleet.start_worker(name="evaluate@other")
    search.wait_for(SUCCEEDED, held)
    assert search.count_measurements() == 1


def test_a_gate_worker_that_is_told_to_stop_ends_what_it_has_begun(fleet: Fleet, search: Search) -> None:
    stopping = fleet.start_worker("gate")
    with unit_of_work(search.sessions, search.bell) as session:
        campaign = session.get_one(Campaign, search.campaign_id)
        held = rows.add_candidate(session, campaign, status=CandidateStatus.PROPOSED)
        held.name = "hold"
        ring(session, CANDIDATE, held.id)

    def read() -> Candidate:
        with search.sessions() as session:
            return session.get_one(Candidate, held.id)

    wait_until(lambda: read().status is CandidateStatus.GATING)
    stopping.send_signal(signal.SIGTERM)
    wait_until(lambda: "Warm shutdown" in fleet.read_logs())
    with search.sessions.begin() as session:
        session.get_one(Campaign, search.campaign_id).notes = "go on"
    assert stopping.wait(DEADLINE_S) == 0
    row = read()
    assert (row.status, row.attempt, row.interruptions) == (CandidateStatus.ACCEPTED, 1, 0)
    assert search.bell.count_messages()["gate"] == 0


def test_a_cancellation_reaches_the_work_that_runs(fleet: Fleet, search: Search) -> None:
    fleet.start_worker()
    running = search.add(2, hold=True)
    search.wait_for(RUNNING, *running)
    (waiting,) = search.add()
    with search.sessions.begin() as session:
        cancel_campaign(session, search.campaign_id)
    search.wait_for(EvaluationStatus.CANCELLED, *running, waiting)
    with search.sessions() as session:
        assert session.get_one(Campaign, search.campaign_id).status is CampaignStatus.CANCELLED
    assert waiting not in search.count_runs()


def test_messages_that_nobody_understands_kill_no_worker(fleet: Fleet, search: Search, redis_url: str) -> None:
    search.bell.app.send_task("nobody.knows", args=["x"], queue="evaluate")
    search.bell.app.send_task(EVALUATION.task, args=["no id"], queue="evaluate")
    search.bell.app.send_task(EVALUATION.task, args=[], queue="evaluate")
    with Connection(redis_url) as connection:
        Producer(connection).publish({"a": {1, 2}}, serializer="pickle", routing_key="evaluate")
        Producer(connection).publish(
            "half", content_type="text/plain", content_encoding="utf-8", routing_key="evaluate"
        )
    worker = fleet.start_worker()
    search.wait_for(SUCCEEDED, *search.add(3))
    assert worker.poll() is None
    assert "nobody.knows" in fleet.read_logs()


def test_a_gate_worker_does_its_work_in_processes_that_share_no_connection(fleet: Fleet, search: Search) -> None:
    main = fleet.start_worker("gate")
    with unit_of_work(search.sessions, search.bell) as session:
        campaign = session.get_one(Campaign, search.campaign_id)
        candidates = [rows.add_candidate(session, campaign, status=CandidateStatus.PROPOSED).id for _ in range(12)]
        ring(session, CANDIDATE, *candidates)

    def statuses() -> set[CandidateStatus]:
        with search.sessions() as session:
            return set(session.scalars(select(Candidate.status)))

    wait_until(lambda: statuses() == {CandidateStatus.ACCEPTED})
    assert search.count_runs() == dict.fromkeys(candidates, 1)
    with search.sessions() as session:
        payloads = session.scalars(select(Event.payload).where(Event.kind == rows.RAN)).all()
    assert main.pid not in {payload["process"] for payload in payloads}


def test_a_killed_gate_worker_leaves_no_process_behind(fleet: Fleet, search: Search) -> None:
    main = fleet.start_worker("gate")
    wait_until(lambda: "ready" in fleet.read_logs())
    children = guard.find_children().get(main.pid, [])
    assert children
    main.kill()
    main.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in children))

"""What the evaluate task does around a training: whoever takes an evaluation ends it, reused, trained or given back."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Evaluation, Event, Measurement
from discovery_service.domain.ids import uuid7
from discovery_service.domain.measuring import hash_key
from discovery_service.domain.states import CampaignStatus, EvaluationStatus
from discovery_service.engine.campaigns import pause_campaign
from discovery_service.engine.claim import Claim
from discovery_service.engine.measurements import read_job
from discovery_service.engine.work import EVALUATION
from tests import rows
from tests.conftest import RecordingBell
from tests.workers.trainings import DPO
from workers.runtime.protocol import Hello
from workers.slots import Slots
from workers.supervisor.devices import CPU
from workers.supervisor.outcome import Crashed, Limits, Outcome
from workers.supervisor.runtime import RuntimeLost
from workers.tasks import evaluate

pytestmark = pytest.mark.usefixtures("in_process")

THREADS = 4
HELLO = Hello(pid=1, torch="2.13.0", transformers="5.23.0", peft="0.21.2", trainer=1, device="cpu", model="a cpu")


class Ready:
    """A runtime that starts, and is not to train."""

    def start(self) -> Hello:
        return HELLO

    def evaluate(self, *_: Any, **__: Any) -> Outcome:
        return Crashed("nobody was to train")


class Taker:
    """A running campaign, and a worker that takes its evaluations in threads of this process."""

    def __init__(self, sessions: Sessions, worker_id: UUID, campaign_id: UUID) -> None:
        self.sessions, self.worker_id, self.campaign_id = sessions, worker_id, campaign_id

    def add(self, count: int = 1, *, graph: dict[str, Any] = DPO, **values: Any) -> list[UUID]:
        """Evaluations of candidates of their own, the same training all of them."""
        with self.sessions.begin() as session:
            campaign = session.get_one(Campaign, self.campaign_id)
            candidates = [rows.add_candidate(session, campaign, graph=graph) for _ in range(count)]
            columns = {"draw": "0"} | values
            return [rows.add_evaluation(session, campaign, candidate=each, **columns).id for each in candidates]

    def store_measurement_of(self, row_id: UUID) -> UUID:
        """As if another campaign had measured the same before."""
        with self.sessions.begin() as session:
            job = read_job(session, Claim(EVALUATION, row_id, 1, self.campaign_id))
            key = job.key(HELLO.build())
            columns = {"key": key, "key_sha256": hash_key(key), "graph_sha256": job.graph_sha256}
            stored = Measurement(
                id=uuid7(), arena_id=job.arena_id, metrics={"J": 0.5}, series={}, device_seconds=2.0, **columns
            )
            session.add(stored)
            return stored.id

    def take(self, *row_ids: UUID) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(evaluate.train, map(str, row_ids)))

    def reasons_of(self, row_id: UUID) -> list[str]:
        """Why its attempts crashed."""
        with self.sessions() as session:
            query = select(Event.payload).where(Event.subject_id == row_id, Event.kind == "evaluation.crashed")
            return [payload["reason"] for payload in session.scalars(query.order_by(Event.id))]

    def get_campaign(self) -> Campaign:
        with self.sessions() as session:
            return session.get_one(Campaign, self.campaign_id)

    def get(self, row_id: UUID) -> Evaluation:
        with self.sessions() as session:
            return session.get_one(Evaluation, row_id)


@pytest.fixture
def taker(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> Taker:
    with sessions.begin() as session:
        worker_id, campaign_id = rows.add_worker(session).id, rows.add_campaign(session).id
    slots = Slots([CPU] * THREADS, [Ready() for _ in range(THREADS)], Limits(60, 60))  # type: ignore[misc]
    monkeypatch.setattr(evaluate, "find_worker_id", lambda: worker_id)
    monkeypatch.setattr(evaluate, "get_slots", lambda: slots)
    return Taker(sessions, worker_id, campaign_id)


def test_many_that_were_measured_before_are_reused_at_once_without_waiting_for_each_other(taker: Taker) -> None:
    row_ids = taker.add(40)
    stored = taker.store_measurement_of(row_ids[0])
    taker.take(*row_ids)
    found = {(row.status, row.attempt, row.crashes, row.measurement_id) for row in map(taker.get, row_ids)}
    assert found == {(EvaluationStatus.SUCCEEDED, 1, 0, stored)}


def test_a_graph_of_another_version_is_this_workers_fault_and_scores_nothing(taker: Taker) -> None:
    (row_id,) = taker.add(graph={**DPO, "v": 2})
    taker.take(row_id)
    row = taker.get(row_id)
    assert (row.status, row.crashes, row.failure, row.device_seconds) == (EvaluationStatus.QUEUED, 1, None, None)
    for _ in range(2):
        taker.take(row_id)
    assert taker.get(row_id).status is EvaluationStatus.ABANDONED
    campaign = taker.get_campaign()
    assert campaign.status is CampaignStatus.PAUSED
    assert "let all machines run the same version" in (campaign.status_reason or "")


def test_an_adapter_that_another_peft_made_is_not_reused(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    adapting = {"kind": "hf", "lora": {"r": 4, "alpha": 8, "target_modules": None}}
    with taker.sessions.begin() as session:
        rows.find_or_add_arena(session, spec=adapting)
    newer, same = taker.add(2)
    taker.store_measurement_of(same)
    with monkeypatch.context() as upgraded:
        upgraded.setattr(Ready, "start", lambda _: HELLO.model_copy(update={"peft": "0.22.0"}))
        taker.take(newer)
    assert taker.reasons_of(newer) == ["nobody was to train"]
    taker.take(same)
    assert taker.get(same).is_reused


def test_one_that_cannot_be_read_is_a_crash_that_counts_and_not_rung_for_for_ever(taker: Taker) -> None:
    (row_id,) = taker.add(setting={"temperature": 1.0})
    for _ in range(4):
        taker.take(row_id)
    row = taker.get(row_id)
    assert (row.status, row.attempt) == (EvaluationStatus.ABANDONED, 3)
    assert all("the evaluation failed: TypeError: " in each for each in taker.reasons_of(row_id))
    assert "temperature" in (taker.get_campaign().status_reason or "")


def test_a_reason_that_cannot_be_stored_as_it_is_ends_the_attempt_too(
    taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ready, "evaluate", lambda *_, **__: Crashed("it said \x00\ud800"))
    (row_id,) = taker.add()
    taker.take(row_id)
    assert taker.reasons_of(row_id) == ["it said \ufffd?"]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A worker whose runtimes do not start, and how long its slots stay taken for it."""

    def start(_: Ready) -> Hello:
        raise RuntimeLost("The card is gone.")

    waited: list[float] = []
    monkeypatch.setattr(Ready, "start", start)
    monkeypatch.setattr(evaluate, "wait_to_leave", waited.append)
    return waited


def test_a_slot_without_a_runtime_hands_on_what_waits_and_takes_no_more_for_a_while(
    taker: Taker, bell: RecordingBell, waits: list[float]
) -> None:
    waiting, ended = taker.add()[0], taker.add(status=EvaluationStatus.CANCELLED)[0]
    taker.take(waiting, ended)
    assert [row_id for _, _, row_id in bell.rings] == [str(waiting)]
    assert waits == [evaluate.TRY_AGAIN_AFTER_S] * 2
    assert taker.get(waiting).attempt == 0


def test_what_waits_for_a_paused_campaign_is_not_handed_round(
    taker: Taker, bell: RecordingBell, waits: list[float]
) -> None:
    (row_id,) = taker.add()
    with taker.sessions.begin() as session:
        pause_campaign(session, taker.campaign_id)
    taker.take(row_id)
    assert (bell.rings, len(waits)) == ([], 1)


@pytest.mark.usefixtures("waits")
def test_that_a_runtime_does_not_start_is_said_once_until_it_has_started(
    taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row_id,) = taker.add()

    def try_twice() -> list[str]:
        with structlog.testing.capture_logs() as logs:
            for _ in range(2):
                evaluate.train(str(row_id))
        return [each["event"] for each in logs if each["log_level"] == "error"]

    assert try_twice() == ["evaluate.no_runtime"]
    assert try_twice() == []
    with monkeypatch.context() as mended:
        mended.setattr(Ready, "start", lambda _: HELLO)
        evaluate.train(str(row_id))
    assert try_twice() == ["evaluate.no_runtime"]

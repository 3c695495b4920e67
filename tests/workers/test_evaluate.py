"""The evaluate task in a real worker with real runtimes: from a row that waits to its measurement or its failure."""

import copy
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import CampaignProgress, Worker
from discovery_service.domain.arenas import find_document
from discovery_service.domain.states import CampaignStatus, EvaluationStatus
from discovery_service.engine.bell import make_bell
from discovery_service.engine.campaigns import cancel_campaign
from tests.waiting import is_alive, wait_until
from tests.workers.conftest import Fleet
from tests.workers.trainings import DPO, Trainings, runtimes_of

pytestmark = pytest.mark.timeout(400)
SUCCEEDED, FAILED = EvaluationStatus.SUCCEEDED, EvaluationStatus.FAILED


@pytest.fixture
def trainings(sessions: Sessions, redis_url: str) -> Trainings:
    return Trainings(sessions, make_bell(redis_url))


def with_terms_swapped(graph: dict[str, Any]) -> dict[str, Any]:
    """The same loss, the factors of its first product in the other order."""
    swapped = copy.deepcopy(graph)
    product = next(each for each in swapped["nodes"] if each["op"] == "aten.mul.Tensor")
    product["a"].reverse()
    return swapped


def test_evaluations_are_measured_once_and_reused_by_whoever_asks_for_the_same(
    fleet: Fleet, trainings: Trainings
) -> None:
    first, other = trainings.add(draw="0"), trainings.add(draw="1")
    fleet.start_evaluate(slots=1)
    rows = trainings.settle(first, other)
    assert [(row.status, row.attempt, row.is_reused) for row in rows] == [(SUCCEEDED, 1, False)] * 2
    measured = trainings.measurement_of(first)
    assert measured.metrics["J"] > 0.1
    assert len(measured.series["loss"]) == 50
    assert measured.key["build"]["torch"].startswith("2.13")
    assert measured.device_seconds > 0
    assert trainings.events_of(first) == ["evaluation.running", "evaluation.succeeded"]

    assert with_terms_swapped(DPO) != DPO
    again = trainings.add(draw="0", graph=with_terms_swapped(DPO))
    (row,) = trainings.settle(again)
    assert (row.measurement_id, row.is_reused, row.device_seconds) == (measured.id, True, measured.device_seconds)
    assert len(trainings.measurements()) == 2
    with trainings.sessions() as session:
        progress = session.get_one(CampaignProgress, trainings.campaign_id)
        assert progress.evaluations == 3
        assert progress.device_seconds == pytest.approx(
            2 * measured.device_seconds + trainings.measurement_of(other).device_seconds
        )
        (worker,) = session.scalars(select(Worker))
        assert worker.devices == [{"kind": "cpu", "card": None, "model": None}]


def test_a_worker_as_it_is_deployed_trains_in_a_built_in_arena(fleet: Fleet, trainings: Trainings) -> None:
    panel = find_document("panel:mini")
    assert panel is not None
    setting = {"beta": 1.0, "learning_rate": 1.5e-3, "steps": 12}
    fleet.start_deployed("evaluate")
    row_ids = [trainings.add(arena=panel, setting=setting, draw="0", base_policy=policy) for policy in (0, 1)]
    rows = trainings.settle(*row_ids)
    assert [row.status for row in rows] == [SUCCEEDED, SUCCEEDED], [row.failure for row in rows]
    first, second = (trainings.measurement_of(row.id) for row in rows)
    assert first.metrics["kl"] > 0
    assert len(first.series["loss"]) == 12
    assert first.metrics["J"] != second.metrics["J"]
    (again,) = trainings.settle(trainings.add(arena=panel, setting=setting, draw="0"))
    assert (again.measurement_id, again.is_reused) == (first.id, True)


def test_whatever_a_training_does_is_classified_and_the_slot_takes_the_next_one(
    fleet: Fleet, trainings: Trainings, tmp_path: Path
) -> None:
    def once(do: str) -> dict[str, Any]:
        return {"do": do, "at": "take", "step": 3, "once": str(tmp_path / do)}

    expected = {
        trainings.add({"do": "nan", "at": "take", "step": 40}): (FAILED, "non_finite", 40),
        trainings.add({"do": "compute", "at": "take", "step": 3}): (FAILED, "time", None),
        trainings.add({"do": "write_to_stdout", "at": "take", "step": 3}): (SUCCEEDED, None, 0),
        trainings.add(once("die")): (SUCCEEDED, None, 1),
        trainings.add(once("stop")): (SUCCEEDED, None, 1),
        trainings.add(once("flood")): (SUCCEEDED, None, 1),
        trainings.add(once("lose_the_device")): (SUCCEEDED, None, 1),
        trainings.add({"do": "fault", "at": "open", "once": str(tmp_path / "open")}): (SUCCEEDED, None, 1),
        trainings.add(): (SUCCEEDED, None, 0),
    }
    fleet.start_evaluate(slots=1, evaluation_s=2, memory_bytes=2 << 30)
    found = {}
    for row in trainings.settle(*expected):
        failure = row.failure or {}
        found[row.id] = (row.status, failure.get("code"), failure.get("step") if row.failure else row.crashes)
    assert found == expected
    assert trainings.count_charged() == len(expected)
    assert len(trainings.measurements()) == sum(status is SUCCEEDED for status, _, _ in expected.values())


@pytest.mark.parametrize(
    ("do", "reason"),
    [("die", "the runtime's process ended by SIGKILL"), ("fill_tensors", "set DISCOVERY__WORKER__MEMORY_BYTES")],
)
def test_one_that_crashes_each_time_is_abandoned_and_pauses_its_campaign_with_the_reason(
    fleet: Fleet, trainings: Trainings, do: str, reason: str
) -> None:
    fleet.start_evaluate(slots=1, memory_bytes=2 << 30)
    (row,) = trainings.settle(trainings.add({"do": do, "at": "take"}))
    assert (row.status, row.attempt, row.crashes) == (EvaluationStatus.ABANDONED, 3, 3)
    campaign = trainings.get_campaign()
    assert campaign.status is CampaignStatus.PAUSED
    assert reason in (campaign.status_reason or "")
    assert trainings.count_charged() == 0


def test_a_cancelled_training_ends_and_takes_its_process_along(fleet: Fleet, trainings: Trainings) -> None:
    worker = fleet.start_evaluate(slots=1)
    hanging = trainings.add({"do": "compute", "at": "take"})
    trainings.wait_for(EvaluationStatus.RUNNING, hanging)
    (runtime,) = runtimes_of(worker.pid)
    with trainings.sessions.begin() as session:
        cancel_campaign(session, trainings.campaign_id)
    trainings.wait_for(EvaluationStatus.CANCELLED, hanging)
    assert not is_alive(runtime)
    assert trainings.get_campaign().status is CampaignStatus.CANCELLED


def test_a_worker_that_stops_gives_its_trainings_back_and_leaves_no_process(
    fleet: Fleet, trainings: Trainings, tmp_path: Path
) -> None:
    stopping = fleet.start_evaluate("evaluate@stopping", slots=1)
    hanging = trainings.add({"do": "compute", "at": "take", "once": str(tmp_path / "hung")})
    wait_until((tmp_path / "hung").exists, deadline_s=60)
    (runtime,) = runtimes_of(stopping.pid)
    stopping.send_signal(signal.SIGTERM)
    assert stopping.wait(20) == 0
    wait_until(lambda: not is_alive(runtime))
    row = trainings.get(hanging)
    assert (row.status, row.crashes) == (EvaluationStatus.QUEUED, 0)
    fleet.start_evaluate("evaluate@other", slots=1)
    assert trainings.settle(hanging)[0].status is SUCCEEDED


def test_where_no_runtime_starts_nothing_is_claimed_and_another_worker_is_rung_for(
    fleet: Fleet, trainings: Trainings
) -> None:
    broken = fleet.start_evaluate("broken@here", slots=1)
    waiting = trainings.add()
    wait_until(lambda: "evaluate.no_runtime" in fleet.read_logs(), deadline_s=60)
    row = trainings.get(waiting)
    assert (row.status, row.attempt) == (EvaluationStatus.QUEUED, 0)
    fleet.start_evaluate("evaluate@other", slots=1)
    assert trainings.settle(waiting)[0].status is SUCCEEDED
    broken.send_signal(signal.SIGTERM)
    assert broken.wait(20) == 0


def test_a_runtime_knows_no_secret_of_its_worker(fleet: Fleet, trainings: Trainings) -> None:
    worker = fleet.start_evaluate(slots=1)
    trainings.settle(trainings.add())
    (runtime,) = runtimes_of(worker.pid)
    environment = Path(f"/proc/{runtime}/environ").read_bytes()
    assert b"DISCOVERY" not in environment
    assert b"postgres" not in environment
    descriptors = [os.readlink(each) for each in Path(f"/proc/{runtime}/fd").iterdir()]
    assert not [each for each in descriptors if each.startswith("socket:")]

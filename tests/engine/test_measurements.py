"""Measurements are stored once, whoever comes first; evaluations point at them and their campaigns pay for them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import CapturingLogger

from discovery_service.db.tables import Campaign, CampaignProgress, Evaluation, Event, Measurement
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Build, Failure
from discovery_service.domain.states import EvaluationStatus
from discovery_service.engine.claim import Claim, crash
from discovery_service.engine.measurements import (
    Job,
    find_measurement,
    read_job,
    record_failure,
    record_measurement,
    reuse_measurement,
)
from discovery_service.engine.work import EVALUATION
from discovery_service.losses.described import list_described
from tests import rows
from tests.engine.conftest import Stage

DPO = list_described(Family.PAIRWISE)["dpo"].graph
BUILD = Build(torch="2.13.0", transformers="5.23.0", device="cpu", model="a cpu")
METRICS = {"J": 0.1 + 0.2, "kl": 1e-300, "attained": None}


def hold(stage: Stage, draw: str = "0", **values: Any) -> Claim:
    """A held evaluation of DPO, all of them of the same setting."""
    with stage.sessions.begin() as session:
        campaign = session.get_one(Campaign, stage.campaign_id)
        candidate = rows.add_candidate(session, campaign, graph=DPO)
        row_id = rows.add_evaluation(session, campaign, candidate=candidate, draw=draw, **values).id
    held = stage.claim(EVALUATION, row_id)
    assert held is not None
    return held


def read(stage: Stage, held: Claim) -> tuple[Job, dict[str, Any]]:
    with stage.sessions() as session:
        job = read_job(session, held)
    return job, job.key(BUILD)


def measure(stage: Stage, held: Claim, metrics: dict[str, Any] = METRICS, seconds: float = 2.5) -> bool:
    job, key = read(stage, held)
    with stage.sessions.begin() as session:
        return record_measurement(
            session, held, job, key, metrics=metrics, series={"loss": [0.5, None]}, device_seconds=seconds
        )


def evaluation(stage: Stage, held: Claim) -> Evaluation:
    row = stage.get(held)
    assert isinstance(row, Evaluation)
    return row


def stored(stage: Stage) -> list[Measurement]:
    with stage.sessions() as session:
        return list(session.scalars(select(Measurement)))


def spent(stage: Stage) -> tuple[int, float]:
    with stage.sessions() as session:
        progress = session.get_one(CampaignProgress, stage.campaign_id)
        return progress.evaluations, progress.device_seconds


def told(stage: Stage, held: Claim) -> dict[str, Any]:
    with stage.sessions() as session:
        query = select(Event.payload).where(Event.subject_id == held.id).order_by(Event.id.desc())
        return session.scalars(query).first() or {}


def test_a_measurement_ends_its_evaluation_and_is_charged(stage: Stage) -> None:
    held = hold(stage)
    assert measure(stage, held)
    (measurement,), row = stored(stage), evaluation(stage, held)
    assert measurement.metrics == METRICS
    assert (row.status, row.measurement_id, row.is_reused) == (EvaluationStatus.SUCCEEDED, measurement.id, False)
    assert row.device_seconds == measurement.device_seconds == 2.5
    assert spent(stage) == (1, 2.5)
    assert told(stage, held) == {
        "attempt": 1,
        "name": "a_loss",
        "measurement_id": str(measurement.id),
        "is_reused": False,
        "building_s": 0.0,
    }


def test_a_job_is_what_the_rows_say(stage: Stage) -> None:
    held = hold(stage, draw="7", salt="a", base_policy=2)
    job, key = read(stage, held)
    assert (job.draw.key, job.draw.salt, job.base_policy, job.setting.steps) == ("7", "a", 2, 8)
    assert key["graph"] == list_described(Family.PAIRWISE)["dpo"].graph_sha256
    with stage.sessions() as session:
        assert key["arena"] == rows.find_or_add_arena(session).content_sha256


def test_what_was_measured_before_is_found_by_its_key_and_charged_at_its_nominal_cost(stage: Stage) -> None:
    assert measure(stage, hold(stage))
    again = hold(stage)
    _, key = read(stage, again)
    with stage.sessions.begin() as session:
        found = find_measurement(session, key)
        assert found is not None
        assert reuse_measurement(session, again, found)
    row = evaluation(stage, again)
    assert (row.status, row.measurement_id, row.is_reused) == (EvaluationStatus.SUCCEEDED, found.id, True)
    assert spent(stage) == (2, 5.0)


@pytest.mark.parametrize("change", [{"draw": "1"}, {"salt": "a"}, {"base_policy": 1}])
def test_another_draw_or_policy_is_another_measurement(stage: Stage, change: dict[str, Any]) -> None:
    assert measure(stage, hold(stage))
    assert measure(stage, hold(stage, **change))
    assert len(stored(stage)) == 2


def test_a_number_is_the_same_one_however_it_was_written(stage: Stage) -> None:
    for setting in ({"beta": 1, "learning_rate": 1, "steps": 8}, {"beta": 1.0, "learning_rate": 1.0, "steps": 8}):
        assert measure(stage, hold(stage, setting=setting))
    assert len(stored(stage)) == 1


def test_the_version_of_peft_tells_trainings_of_adapters_apart_and_no_others(stage: Stage) -> None:
    job, key = read(stage, hold(stage))
    builds = [replace(BUILD, peft=version) for version in ("0.21.1", "0.21.2")]
    assert [job.key(build) for build in builds] == [key, key]
    assert "peft" not in key["build"]
    adapting = replace(job, arena={**job.arena, "lora": {"r": 4, "alpha": 8, "target_modules": None}})
    assert [adapting.key(build)["build"]["peft"] for build in builds] == ["0.21.1", "0.21.2"]


def test_of_two_that_measure_the_same_at_once_one_stores_it_and_both_point_there(
    stage: Stage, threads: ThreadPoolExecutor
) -> None:
    both, together = [hold(stage), hold(stage)], Barrier(2)

    def work(held: Claim) -> bool:
        job, key = read(stage, held)
        with stage.sessions.begin() as session:
            session.connection()
            together.wait()
            return record_measurement(session, held, job, key, metrics=METRICS, series={}, device_seconds=2.5)

    assert all(threads.map(work, both))
    (measurement,) = stored(stage)
    rows_of = [evaluation(stage, held) for held in both]
    assert {row.measurement_id for row in rows_of} == {measurement.id}
    assert sorted(row.is_reused for row in rows_of) == [False, True]
    assert spent(stage) == (2, 5.0)


def test_a_measurement_that_comes_out_otherwise_is_told_and_the_first_one_stays(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr("discovery_service.engine.measurements.log", log)
    assert measure(stage, hold(stage))
    assert log.calls == []
    assert measure(stage, hold(stage), metrics={**METRICS, "J": 0.3})
    assert [each.metrics for each in stored(stage)] == [METRICS]
    assert [call.args for call in log.calls] == [("measurement.not_repeated",)]


def test_a_zombie_stores_and_charges_nothing(stage: Stage) -> None:
    held = hold(stage)
    with stage.sessions.begin() as session:
        crash(session, held, "its lease lapsed")
    assert not measure(stage, held)
    with stage.sessions.begin() as session:
        assert not record_failure(session, held, Failure("memory", "Too much."), device_seconds=1.0)
    assert stored(stage) == []
    assert spent(stage) == (0, 0.0)
    assert evaluation(stage, held).status is EvaluationStatus.QUEUED


def test_a_failure_is_a_result_that_is_charged(stage: Stage) -> None:
    held = hold(stage)
    failure = Failure("non_finite", "The loss is inf at step 40.", 40, {"loss": [None]})
    with stage.sessions.begin() as session:
        assert record_failure(session, held, failure, device_seconds=1.5)
    row = evaluation(stage, held)
    assert (row.status, row.failure, row.device_seconds) == (EvaluationStatus.FAILED, failure.document(), 1.5)
    assert spent(stage) == (1, 1.5)
    failed = {"code": "non_finite", "message": "The loss is inf at step 40."}
    assert told(stage, held) == {"attempt": 1, "name": "a_loss", **failed}

"""Campaigns run by themselves: real workers, real messages, the same whoever is killed; the cheapest of each kind."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from benchmarks.final_rows import FinalRows
from discovery_service.db.sessions import Sessions
from discovery_service.domain.states import CampaignStatus, Purpose, is_final
from discovery_service.engine.arenas import register_arena
from discovery_service.engine.bell import make_bell
from discovery_service.engine.exports import NoConfirmedDiscovery, export_module, get_best
from discovery_service.engine.work import CANDIDATE, EVALUATION, EXCHANGE, WORK_KINDS, WorkKind
from tests.runtime.toy import document
from tests.waiting import wait_until
from tests.workers.campaigns import Ran
from tests.workers.conftest import Fleet
from workers.llm.recorded import RecordedServer

SETTING = {"beta": 1.0, "learning_rate": 0.05, "steps": 8}
WITHIN_S = 900.0
"""Half a minute on an idle machine; others may use it as well."""


@pytest.mark.timeout(1200)
def test_a_campaign_of_recorded_replies_alone_names_a_pick_that_can_be_taken_as_what_it_is(
    sessions: Sessions, fleet: Fleet, redis_url: str, tmp_path: Path
) -> None:
    """All of it as it is deployed, with real trainings."""
    with RecordedServer(0) as server, _serving(server):
        for kind in ("gate", "evaluate"):
            fleet.start_deployed(kind)
        fleet.start_deployed("propose", DISCOVERY__LLM__RECORDED_URL=server.url)
        fleet.start_beat(tmp_path)
        ran = Ran(
            sessions,
            make_bell(redis_url),
            arena="panel:mini",
            proposers=[{"kind": "recorded"}],
            budgets={"candidates": 1},
            strategy={"round_size": 1},
        )
        campaign = ran.wait_for_end(deadline_s=WITHIN_S)
    assert campaign.status is CampaignStatus.COMPLETED, campaign.status_reason
    progress = ran.get_progress()
    assert (progress.candidates, progress.tokens) == (1, 0)
    assert progress.best is not None
    assert {each[6] for each in ran.read_rows().trained} == {Purpose.TUNE, Purpose.SCREEN, Purpose.CONFIRM}
    with sessions() as session:
        module = export_module(session, get_best(session, ran.campaign_id, is_unconfirmed_taken=True)).decode()
        try:
            confirmed = get_best(session, ran.campaign_id, is_unconfirmed_taken=False)
        except NoConfirmedDiscovery:
            assert "IS_CONFIRMED = False" in module
        else:
            assert export_module(session, confirmed).decode() == module
    assert progress.best["name"] in module
    assert "recorded" in module
    file = tmp_path / "discovered_loss.py"
    file.write_text(module)
    subprocess.run([sys.executable, str(file), "--check"], check=True, capture_output=True, timeout=300)
    assert ran.list_differences() == []


@pytest.mark.timeout(2400)
def test_neither_slots_nor_kills_nor_lost_messages_change_what_a_campaign_does(
    sessions: Sessions, owner_sessions: Sessions, fleet: Fleet, redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        register_arena(session, document(name="toy", setting=SETTING))
    spec = {"arena": "toy", "budgets": {"candidates": 2}, "strategy": {"round_size": 1}, "seed": 3}
    fleet.start_gate()
    fleet.start_deployed("propose")
    fleet.start_evaluate(slots=1)
    undisturbed = _run(Ran(sessions, make_bell(redis_url), **spec))
    assert [each[0] for each in undisturbed.rounds] == [0, 1, 2]
    fleet.end()
    # Or the second one would find all of it measured.
    with owner_sessions.begin() as session:
        session.execute(text("TRUNCATE campaign, measurement, worker CASCADE"))

    working = {kind: _start(fleet, kind) for kind in WORK_KINDS}
    fleet.start_beat(tmp_path)
    ran = Ran(sessions, make_bell(redis_url), **spec)
    # In the order of the pipeline, so that each of them comes to hold something.
    for kind in (EVALUATION, EXCHANGE, CANDIDATE, EVALUATION):
        wait_until(lambda kind=kind: ran.is_held(kind) or _is_over(ran), deadline_s=WITHIN_S)
        working[kind].kill()
        working[kind].wait()
        redis_client.flushdb()
        ran.hasten()
        working[kind] = _start(fleet, kind)
    disturbed = _run(ran)
    assert ran.count_events("evaluation.crashed", "candidate.crashed", "exchange.crashed") > 0
    assert disturbed == undisturbed


@contextmanager
def _serving(server: RecordedServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield
    server.shutdown()
    thread.join()


def _start(fleet: Fleet, kind: WorkKind) -> "subprocess.Popen[bytes]":
    if kind is CANDIDATE:
        return fleet.start_gate()
    return fleet.start_evaluate(slots=2) if kind is EVALUATION else fleet.start_deployed("propose")


def _is_over(ran: Ran) -> bool:
    return is_final(ran.get().status)


def _run(ran: Ran) -> FinalRows:
    campaign = ran.wait_for_end(deadline_s=WITHIN_S)
    assert campaign.status is CampaignStatus.COMPLETED, campaign.status_reason
    assert ran.list_differences() == []
    return ran.read_rows()

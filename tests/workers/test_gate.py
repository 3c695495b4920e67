"""The gate's tasks in a real worker with real jails: a candidate's row on its way, and a dry run."""

import os
import signal
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, select, update

from discovery_service.db.tables import Campaign, Candidate, Event, GateCheck, Worker
from discovery_service.domain.ids import uuid7
from discovery_service.domain.states import CandidateStatus
from discovery_service.engine.checks import ask_check
from discovery_service.engine.dispatch import ring, unit_of_work
from discovery_service.engine.sweep import sweep
from discovery_service.engine.work import CANDIDATE
from discovery_service.local.guard import find_descendants
from tests import rows
from tests.cli.test_gate import DPO
from tests.waiting import wait_until
from tests.workers.conftest import Fleet, Search

NEW = DPO.replace("-F.logsigmoid(beta * margin)", "F.relu(2.0 - beta * margin) ** 3 + torch.exp(-beta * margin)")


def submit(search: Search, source: str) -> UUID:
    with unit_of_work(search.sessions, search.bell) as session:
        campaign = session.get_one(Campaign, search.campaign_id)
        status = CandidateStatus.PROPOSED
        candidate = rows.add_candidate(session, campaign, status=status, source=source, graph_sha256=None)
        ring(session, CANDIDATE, candidate.id)
    return candidate.id


def get(search: Search, candidate_id: UUID) -> Candidate:
    with search.sessions() as session:
        return session.get_one(Candidate, candidate_id)


def settled(search: Search, candidate_id: UUID) -> Candidate:
    wait_until(lambda: get(search, candidate_id).finished_at is not None, deadline_s=60)
    return get(search, candidate_id)


def find_level(search: Search) -> str | None:
    with search.sessions() as session:
        return session.scalar(select(Worker.isolation))


def test_candidates_are_judged_and_what_was_found_is_stored(fleet: Fleet, search: Search) -> None:
    fleet.start_gate()
    # Before it has had anything to do.
    wait_until(lambda: find_level(search) == "full", deadline_s=60)
    accepted, refused = settled(search, submit(search, NEW)), settled(search, submit(search, f"import os\n{DPO}"))
    assert (accepted.status, accepted.refusal) == (CandidateStatus.ACCEPTED, None)
    for column in (
        *("graph", "graph_sha256", "torch_version", "fingerprint", "fingerprint_version", "passport", "formula"),
        *("check_vectors", "neighbours", "isolation"),
    ):
        assert getattr(accepted, column), column
    assert "def loss(" in (accepted.readable_source or "")

    assert refused.status is CandidateStatus.REJECTED
    assert refused.refusal is not None
    assert (refused.refusal["code"], refused.refusal["line"]) == ("forbidden_import", 1)
    assert refused.graph is None

    with search.sessions() as session:
        kinds = session.scalars(select(Event.kind).where(Event.subject_id == accepted.id).order_by(Event.id)).all()
        assert kinds == ["candidate.gating", "candidate.accepted"]

    check_id = uuid7()
    with unit_of_work(search.sessions, search.bell) as session:
        assert ask_check(session, check_id, family="pairwise", source=DPO, values={})
    answer = wait_until(lambda: find_answer(search, check_id), deadline_s=60)
    assert answer is not None
    assert (answer["status"], answer["neighbours"][0]["name"]) == ("accepted", "dpo")


def find_answer(search: Search, check_id: UUID) -> dict[str, object] | None:
    with search.sessions() as session:
        return session.get_one(GateCheck, check_id).answer


def test_a_pools_process_that_is_killed_in_mid_job_costs_its_candidate_an_attempt(fleet: Fleet, search: Search) -> None:
    worker = fleet.start_gate()
    wait_until(lambda: find_level(search) == "full", deadline_s=60)
    zygotes = [pid for pid in find_descendants(worker.pid) if "workers.jail.zygote" in _command(pid)]
    for pid in zygotes:
        os.kill(pid, signal.SIGSTOP)  # so that the job lasts
    candidate_id = submit(search, NEW)
    wait_until(lambda: get(search, candidate_id).status is CandidateStatus.GATING, deadline_s=30)
    for pid in {_parent(zygote) for zygote in zygotes}:
        os.kill(pid, signal.SIGKILL)
    with search.sessions.begin() as session:
        session.execute(update(Candidate).values(lease_expires_at=func.now() - timedelta(seconds=1)))
    with unit_of_work(search.sessions, search.bell) as session:
        assert sweep(session, messages_waiting={}).expired == 1
    judged = settled(search, candidate_id)
    assert (judged.status, judged.attempt) == (CandidateStatus.ACCEPTED, 2)
    assert judged.crashes + judged.interruptions == 1


def _command(pid: int) -> str:
    """Nothing of a process that ended since it was listed, as those of a measured jail do."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_below_the_configured_minimum_nothing_is_claimed(fleet: Fleet, search: Search) -> None:
    fleet.start_gate(without="seccomp")
    wait_until(lambda: find_level(search) == "unavailable", deadline_s=60)
    assert "gate.jail_unavailable" in fleet.read_logs()
    candidate_id, check_id = submit(search, DPO), uuid7()
    with unit_of_work(search.sessions, search.bell) as session:
        assert ask_check(session, check_id, family="pairwise", source=DPO, values={})
    # Behind the candidate in the queue, and answered.
    answer = wait_until(lambda: find_answer(search, check_id), deadline_s=60)
    assert answer is not None
    assert (answer["status"], answer["isolation"]) == ("unavailable", "unavailable")
    row = get(search, candidate_id)
    assert (row.status, row.attempt) == (CandidateStatus.PROPOSED, 0)


def test_with_the_minimum_unavailable_a_worker_without_a_lock_compiles_and_executes_nothing(
    fleet: Fleet, search: Search
) -> None:
    fleet.start_gate(without="seccomp", DISCOVERY__JAIL__MINIMUM="unavailable")
    judged = settled(search, submit(search, NEW))
    assert (judged.status, judged.crashes) == (CandidateStatus.ACCEPTED, 0)
    assert judged.isolation is not None
    assert judged.isolation["level"] == "unavailable"

"""The gate's tasks in a real worker with real jails: a candidate's row on its way, and a dry run."""

from uuid import UUID

import pytest
from sqlalchemy import select

from discovery_service.db.tables import Campaign, Candidate, Event, GateCheck, Worker
from discovery_service.domain.ids import uuid7
from discovery_service.domain.states import CandidateStatus
from discovery_service.engine.checks import ask_check
from discovery_service.engine.dispatch import ring, unit_of_work
from discovery_service.engine.work import CANDIDATE
from tests import rows
from tests.cli.test_gate import DPO
from tests.waiting import wait_until
from tests.workers.conftest import Fleet, Search


@pytest.fixture
def gate(fleet: Fleet) -> None:
    fleet.start_gate()


def submit(search: Search, source: str, author: str = "symbolic") -> UUID:
    with unit_of_work(search.sessions, search.bell) as session:
        campaign = session.get_one(Campaign, search.campaign_id)
        candidate = rows.add_candidate(session, campaign, status=CandidateStatus.PROPOSED)
        candidate.source, candidate.author, candidate.graph_sha256 = source, author, None
        ring(session, CANDIDATE, candidate.id)
    return candidate.id


def settled(search: Search, candidate_id: UUID) -> Candidate:
    def read() -> Candidate | None:
        with search.sessions() as session:
            row = session.get_one(Candidate, candidate_id)
            return row if row.finished_at is not None else None

    row = wait_until(read, deadline_s=60)
    assert row is not None
    return row


@pytest.mark.usefixtures("gate")
def test_candidates_are_judged_and_what_was_found_is_stored(search: Search) -> None:
    new = DPO.replace("-F.logsigmoid(beta * margin)", "F.relu(2.0 - beta * margin) ** 3 + torch.exp(-beta * margin)")
    accepted, refused = settled(search, submit(search, new)), settled(search, submit(search, f"import os\n{DPO}"))
    assert (accepted.status, accepted.refusal) == (CandidateStatus.ACCEPTED, None)
    for column in ("graph", "graph_sha256", "torch_version", "fingerprint", "passport", "formula", "check_vectors"):
        assert getattr(accepted, column), column
    assert "def loss(" in (accepted.readable_source or "")

    assert refused.status is CandidateStatus.REJECTED
    assert refused.refusal is not None
    assert (refused.refusal["code"], refused.refusal["line"]) == ("forbidden_import", 1)
    assert refused.graph is None

    # The same again is a twin in this campaign's archive: a machine's is refused, a person's is named.
    again, by_hand = settled(search, submit(search, new)), settled(search, submit(search, new, author="human"))
    assert again.refusal is not None
    assert again.refusal["code"] == "duplicate"
    assert by_hand.status is CandidateStatus.ACCEPTED
    assert by_hand.twin is not None
    assert by_hand.twin["name"] == accepted.name

    with search.sessions() as session:
        kinds = session.scalars(select(Event.kind).where(Event.subject_id == accepted.id).order_by(Event.id)).all()
        assert kinds == ["candidate.gating", "candidate.accepted"]
        assert session.scalar(select(Worker.isolation)) == "full"


@pytest.mark.usefixtures("gate")
def test_a_dry_run_is_answered_in_its_row(search: Search) -> None:
    check_id = uuid7()
    with unit_of_work(search.sessions, search.bell) as session:
        ask_check(session, check_id, family="pairwise", source=DPO)

    def read() -> GateCheck | None:
        with search.sessions() as session:
            row = session.get_one(GateCheck, check_id)
            return row if row.answered_at is not None else None

    answered = wait_until(read, deadline_s=60)
    assert answered is not None
    assert answered.answer is not None
    assert (answered.answer["status"], answered.answer["neighbours"][0]["name"]) == ("accepted", "dpo")


def test_below_the_configured_minimum_nothing_is_claimed(fleet: Fleet, search: Search) -> None:
    fleet.start_gate(without="seccomp")
    candidate_id = submit(search, DPO)
    wait_until(lambda: "gate.jail_unavailable" in fleet.read_logs(), deadline_s=60)
    with search.sessions() as session:
        row = session.get_one(Candidate, candidate_id)
        assert (row.status, row.attempt) == (CandidateStatus.PROPOSED, 0)
        assert session.scalar(select(Worker.isolation)) == "unavailable"

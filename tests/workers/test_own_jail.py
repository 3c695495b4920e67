"""A process's jail: opened in time, its level told whenever it changes, tried anew but not all the time."""

from typing import Any
from uuid import UUID

import pytest
import structlog

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import GateCheck, Worker
from discovery_service.domain.ids import uuid7
from discovery_service.domain.isolation import Level
from discovery_service.engine.checks import ask_check
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.engine.workers import note_isolation
from tests import rows
from tests.cli.test_gate import DPO
from tests.conftest import RecordingBell
from workers.gate import process
from workers.gate.process import OwnJail
from workers.supervisor.isolation import Isolation
from workers.supervisor.jail import JailUnavailable, Outcome
from workers.tasks import gate

pytestmark = pytest.mark.usefixtures("in_process")


class Switching:
    """A jail without a kernel: its level is what the test says, and it judges nothing."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.opened = 0

    @property
    def isolation(self) -> Isolation:
        return Isolation(self.level, None if self.level is Level.FULL else "Nothing holds.")

    def __enter__(self) -> "Switching":
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, job: str, request: dict[str, Any]) -> Outcome:
        raise JailUnavailable("Nothing holds.")


@pytest.fixture
def worker_id(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> UUID:
    with sessions.begin() as session:
        made = rows.add_worker(session).id
    monkeypatch.setattr(gate, "find_worker_id", lambda: made)
    return made


def own(jail: Switching, monkeypatch: pytest.MonkeyPatch) -> OwnJail:
    made = OwnJail(jail)  # type: ignore[arg-type]
    monkeypatch.setattr(gate, "get_own_jail", lambda: made)
    return made


def find_level(sessions: Sessions, worker_id: UUID) -> str | None:
    with sessions() as session:
        return session.get_one(Worker, worker_id).isolation


def test_the_jail_is_open_and_its_level_known_before_the_first_message(
    sessions: Sessions, worker_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = Switching(Level.SECCOMP)
    own(jail, monkeypatch)
    gate.open_jail()
    assert (jail.opened, find_level(sessions, worker_id)) == (1, "seccomp")


def test_a_level_that_changes_is_told(sessions: Sessions, worker_id: UUID) -> None:
    jail = Switching(Level.FULL)
    made = OwnJail(jail)  # type: ignore[arg-type]
    made.open(worker_id)
    jail.level = Level.SECCOMP
    made.note_level(worker_id)
    assert find_level(sessions, worker_id) == "seccomp"


def test_below_the_minimum_a_worker_says_so_once_and_tries_again_only_after_a_while(
    sessions: Sessions, worker_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = Switching(Level.UNAVAILABLE)
    made = own(jail, monkeypatch)
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            gate.pass_candidate(str(uuid7()))
    assert jail.opened == 1
    assert [each["event"] for each in logs if each["log_level"] == "error"] == ["gate.jail_unavailable"]
    monkeypatch.setattr(process, "TRY_AGAIN_AFTER_S", 0.0)
    jail.level = Level.FULL
    made.open(worker_id)
    assert find_level(sessions, worker_id) == "full"


def ask(sessions: Sessions, bell: RecordingBell) -> UUID:
    check_id = uuid7()
    with unit_of_work(sessions, bell) as session:
        assert ask_check(session, check_id, family="pairwise", source=DPO, values={})
    bell.rings.clear()
    return check_id


def find_status(sessions: Sessions, check_id: UUID) -> str | None:
    with sessions() as session:
        answer = session.get_one(GateCheck, check_id).answer
        return None if answer is None else answer["status"]


@pytest.mark.usefixtures("worker_id")
def test_a_check_that_no_worker_can_judge_is_answered_so(
    sessions: Sessions, bell: RecordingBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(Switching(Level.UNAVAILABLE), monkeypatch)
    check_id = ask(sessions, bell)
    gate.check(str(check_id))
    with sessions() as session:
        answer = session.get_one(GateCheck, check_id).answer
    assert answer is not None
    assert (answer["status"], answer["code"], answer["message"]) == (
        *("unavailable", "jail_unavailable"),
        "Nothing holds.",
    )


@pytest.mark.usefixtures("worker_id")
def test_a_check_that_another_worker_can_judge_is_handed_on_once_and_left_to_it(
    sessions: Sessions, bell: RecordingBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(Switching(Level.UNAVAILABLE), monkeypatch)
    with sessions.begin() as session:
        note_isolation(session, rows.add_worker(session).id, "full")
    check_id = ask(sessions, bell)
    for _ in range(3):
        gate.check(str(check_id))
    assert [ring[2] for ring in bell.rings] == [str(check_id)]
    assert find_status(sessions, check_id) is None


@pytest.mark.usefixtures("worker_id")
def test_another_worker_below_the_minimum_is_no_help(
    sessions: Sessions, bell: RecordingBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(Switching(Level.UNAVAILABLE), monkeypatch)
    with sessions.begin() as session:
        note_isolation(session, rows.add_worker(session).id, "unavailable")
    check_id = ask(sessions, bell)
    gate.check(str(check_id))
    assert find_status(sessions, check_id) == "unavailable"

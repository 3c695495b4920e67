"""One candidate through the gate's task, in this process: what it is compared with, and whatever may go wrong."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from discovery_service.api.schemas.candidates import CandidateDetailRead, CurveRead
from discovery_service.db.candidates import get_candidate, read_candidate
from discovery_service.db.queries import Fingerprint, list_fingerprints
from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate, Event, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.isolation import Level
from discovery_service.domain.states import CandidateStatus
from discovery_service.engine.campaigns import cancel_campaign
from discovery_service.engine.heartbeat import Heartbeat, heartbeat
from discovery_service.losses.fingerprints import VERSION
from discovery_service.losses.known import list_known
from discovery_service.losses.passport import describe_passport
from tests import rows
from tests.cli.test_gate import DPO
from tests.conftest import RecordingBell
from workers.gate import candidate as gating
from workers.gate.archives import CampaignArchives, Surroundings
from workers.supervisor.isolation import Isolation
from workers.supervisor.jail import Jail, JailUnavailable, Outcome

OWN = DPO.replace("-F.logsigmoid(beta * margin)", "F.relu(2.0 - beta * margin) ** 3 + torch.exp(-beta * margin)")
IPO = next(known.text for known in list_known(Family.PAIRWISE) if known.name == "ipo")


@pytest.fixture(scope="module")
def jail(production_jail: Jail) -> Jail:
    return production_jail


@pytest.fixture(autouse=True)
def _service(in_process: None) -> None:
    """Every test is one of a worker's process."""


class Campaigning:
    """A running campaign, and one worker that judges its candidates."""

    def __init__(self, sessions: Sessions, jail: Any, **spec: Any) -> None:
        self.sessions = sessions
        self.jail = jail
        with sessions.begin() as session:
            self.worker_id = rows.add_worker(session).id
            self.campaign_id = rows.add_campaign(session, **spec).id

    def add_round(self, *snapshot_rounds: int) -> Round:
        with self.sessions.begin() as session:
            campaign = session.get_one(Campaign, self.campaign_id)
            return rows.add_round(session, campaign, snapshot_rounds=snapshot_rounds)

    def add(self, source: str, *, made_in: Round | None = None, **values: Any) -> UUID:
        with self.sessions.begin() as session:
            campaign = session.get_one(Campaign, self.campaign_id)
            columns = {"source": source, "graph_sha256": None, **values}
            status = CandidateStatus.PROPOSED
            return rows.add_candidate(session, campaign, status=status, made_in=made_in, **columns).id

    def judge(self, candidate_id: UUID) -> Candidate:
        gating.judge_candidate(self.jail, self.worker_id, candidate_id)
        return self.get(candidate_id)

    def get(self, candidate_id: UUID) -> Candidate:
        with self.sessions() as session:
            return session.get_one(Candidate, candidate_id)

    def find_reasons(self) -> list[str]:
        with self.sessions() as session:
            payloads = session.scalars(select(Event.payload).where(Event.kind == "candidate.crashed"))
            return [payload["reason"] for payload in payloads]


@pytest.fixture
def campaigning(sessions: Sessions, jail: Jail) -> Campaigning:
    return Campaigning(sessions, jail)


class Failing:
    """A jail whose jobs do something else than their work."""

    isolation = Isolation(Level.FULL)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self, job: str, request: dict[str, Any]) -> Outcome:
        raise self.error


def code_of(candidate: Candidate) -> str | None:
    return candidate.refusal["code"] if candidate.refusal else None


def test_a_machines_twin_of_the_campaigns_library_is_refused(campaigning: Campaigning) -> None:
    refused = campaigning.judge(campaigning.add(DPO.replace("beta *", "0.9 * beta *")))
    assert (refused.status, code_of(refused)) == (CandidateStatus.REJECTED, "duplicate")
    with campaigning.sessions() as session:
        payload = session.scalar(select(Event.payload).where(Event.kind == "candidate.rejected"))
    assert payload is not None
    assert payload.pop("message").startswith("The loss behaves like dpo")
    assert payload == {"attempt": 1, "name": "a_loss", "code": "duplicate", "twin": "dpo"}


def test_a_loss_outside_the_campaigns_library_is_new_to_it(sessions: Sessions, jail: Jail) -> None:
    small = Campaigning(sessions, jail, library=["dpo"])
    accepted = small.judge(small.add(IPO, name="ipo_loss"))
    assert (accepted.status, accepted.twin) == (CandidateStatus.ACCEPTED, None)
    # Whoever takes it elsewhere is to know what it is.
    outside = [near["name"] for near in accepted.neighbours or () if near.get("is_outside")]
    assert outside[:1] == ["ipo"]
    assert code_of(small.judge(small.add(DPO))) == "duplicate"


def test_what_the_gate_stores_is_what_the_api_tells_of_a_loss(campaigning: Campaigning) -> None:
    accepted, twin, refused = (
        campaigning.judge(campaigning.add(each, name="own"))
        for each in (OWN, DPO, "def own(margins):\n    return margins\n")
    )
    with campaigning.sessions() as session:
        told, of_twin, of_refused = (
            CandidateDetailRead.of(read_candidate(session, each.id)) for each in (accepted, twin, refused)
        )
        row = get_candidate(session, accepted.id, large=("passport",)).row
        curve = CurveRead.of(row, Family.PAIRWISE)
    assert curve.curve is not None
    assert curve.reference is not None
    assert (len(curve.curve.z), curve.curve.z) == (81, curve.reference.z)
    assert told.sentences == describe_passport(accepted.passport or {})
    assert [each.name for each in told.neighbours] == [each["name"] for each in accepted.neighbours or ()]
    assert told.isolation is not None
    assert told.isolation.level is campaigning.jail.isolation.level
    assert (told.hyperparameters, told.refusals, told.known_as) == ([], [], [])
    # A twin was compiled and probed before it was refused.
    assert ([each.code for each in of_twin.refusals], of_twin.known_as) == (["duplicate"], ["dpo"])
    assert of_twin.graph_sha256 is not None
    assert (of_refused.refusals[0].code, of_refused.refusals[0].line) == ("unknown_input", 1)
    assert (of_refused.passport, of_refused.hyperparameters, of_refused.graph_sha256) == (None, None, None)


def test_a_candidate_never_meets_its_own_round_whoever_is_judged_first(campaigning: Campaigning) -> None:
    made_in = campaigning.add_round()
    twins = [campaigning.add(OWN, made_in=made_in) for _ in range(2)]
    judged = [campaigning.judge(candidate_id) for candidate_id in reversed(twins)]
    assert [each.status for each in judged] == [CandidateStatus.ACCEPTED] * 2
    assert all("a_loss" not in [near["name"] for near in each.neighbours or ()] for each in judged)


def test_a_candidate_meets_the_rounds_of_its_snapshot_and_no_other(campaigning: Campaigning) -> None:
    first, second = campaigning.add_round(), campaigning.add_round()
    behind, beside = campaigning.add_round(first.number), campaigning.add_round(second.number)
    assert campaigning.judge(campaigning.add(OWN, made_in=first, name="original")).status is CandidateStatus.ACCEPTED
    # In this order the one that may not see it is judged by a process that knows it already.
    seen = campaigning.judge(campaigning.add(OWN, made_in=behind))
    unseen = campaigning.judge(campaigning.add(OWN, made_in=beside))
    assert (code_of(seen), (seen.twin or {})["name"]) == ("duplicate", "original")
    assert unseen.status is CandidateStatus.ACCEPTED


def test_a_persons_twin_is_accepted_and_named(campaigning: Campaigning) -> None:
    judged = campaigning.judge(campaigning.add(DPO, author=Author.HUMAN))
    assert (judged.status, (judged.twin or {})["name"]) == (CandidateStatus.ACCEPTED, "dpo")


def test_a_persons_second_copy_of_a_known_loss_is_told_which_known_loss_it_is(campaigning: Campaigning) -> None:
    """Its nearest neighbour is the first copy, which may be named as whatever."""
    first = campaigning.add_round()
    copy = DPO.replace("beta *", "0.9 * beta *")
    earlier = campaigning.judge(campaigning.add(copy, author=Author.HUMAN, made_in=first, name="ipo"))
    beside = campaigning.add_round(first.number)
    later = campaigning.judge(campaigning.add(copy, author=Author.HUMAN, made_in=beside))
    assert [(each.twin or {}).get("name") for each in (earlier, later)] == ["dpo", "ipo"]
    assert [(each.twin or {}).get("library") for each in (earlier, later)] == ["dpo", "dpo"]


def test_a_copy_of_what_another_person_sent_is_no_known_loss(campaigning: Campaigning) -> None:
    first = campaigning.add_round()
    campaigning.judge(campaigning.add(OWN, author=Author.HUMAN, made_in=first, name="ipo"))
    later = campaigning.judge(campaigning.add(OWN, author=Author.HUMAN, made_in=campaigning.add_round(first.number)))
    assert later.twin is not None
    assert (later.twin["name"], later.twin["library"]) == ("ipo", None)


def test_a_loss_of_the_library_is_no_twin_of_itself(campaigning: Campaigning) -> None:
    judged = campaigning.judge(campaigning.add(DPO, author=Author.LIBRARY, name="dpo"))
    assert (judged.status, judged.twin) == (CandidateStatus.ACCEPTED, None)
    assert "dpo" not in [near["name"] for near in judged.neighbours or ()]


def test_what_was_found_is_stored_with_the_lock_under_which_it_was(campaigning: Campaigning) -> None:
    judged = campaigning.judge(campaigning.add(OWN))
    assert judged.isolation is not None
    assert (judged.isolation["level"], judged.fingerprint_version) == ("full", VERSION)
    assert [near["cosine"] for near in judged.neighbours or ()] == sorted(
        (near["cosine"] for near in judged.neighbours or ()), reverse=True
    )
    assert judged.passport is not None
    assert judged.passport["size"]["nodes"] > 5
    assert len(judged.passport["curve"]["z"]) == len(judged.passport["curve"]["slope"])


def test_numbers_that_the_reply_gave_are_hyper_parameters(campaigning: Campaigning) -> None:
    source = DPO.replace("loss(", "loss(self, ").replace("beta * margin", "beta * margin - self.gamma * margin ** 2")
    assert code_of(campaigning.judge(campaigning.add(source))) == "missing_value"
    judged = campaigning.judge(campaigning.add(source, values={"gamma": 0.5}))
    assert judged.graph is not None
    assert [(each["name"], each["value"]) for each in judged.graph["hyperparameters"]] == [("gamma", 0.5)]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"fingerprint": b"nothing"},
        {"fingerprint": None},
        {"fingerprint_version": VERSION - 1},
        {"fingerprint_version": None},
    ],
    ids=["unreadable", "none", "another version", "no version"],
)
def test_a_fingerprint_that_cannot_be_compared_is_left_out_and_logged(
    campaigning: Campaigning, spoilt: dict[str, Any]
) -> None:
    made_in = campaigning.add_round()
    for name in ("spoilt", "sound"):
        campaigning.judge(campaigning.add(OWN if name == "spoilt" else IPO, made_in=made_in, name=name, author="human"))
    with campaigning.sessions.begin() as session:
        session.execute(update(Candidate).where(Candidate.name == "spoilt").values(**spoilt))
    with structlog.testing.capture_logs() as logs:
        judged = campaigning.judge(campaigning.add(IPO, made_in=campaigning.add_round(made_in.number)))
    assert code_of(judged) == "duplicate"
    assert [(each["event"], each["candidate"]) for each in logs if "skipped" in each["event"]] == [
        ("gate.fingerprint_skipped", "spoilt")
    ]


def test_an_archive_is_fetched_once_by_a_process_and_then_only_what_is_new(
    campaigning: Campaigning, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[set[int]] = []

    def watched(session: Session, campaign_id: UUID, rounds: set[int]) -> list[Fingerprint]:
        fetched.append(rounds)
        return list_fingerprints(session, campaign_id, rounds)

    monkeypatch.setattr("workers.gate.archives.list_fingerprints", watched)
    archives = CampaignArchives(campaigning.sessions)
    sizes = [
        len(archives.get(Surroundings(campaigning.campaign_id, Family.PAIRWISE, "all", snapshot)).names)
        for snapshot in ([], [0], [0], [0, 1], [0])
    ]
    assert fetched == [{0}, {1}]
    assert set(sizes) == {len(list_known(Family.PAIRWISE))}


def test_a_jail_that_fails_is_a_crash_and_the_candidate_waits_again(sessions: Sessions, bell: RecordingBell) -> None:
    campaigning = Campaigning(sessions, Failing(JailUnavailable("The zygote is gone.")))
    judged = campaigning.judge(campaigning.add(DPO))
    assert (judged.status, judged.crashes, judged.lease_owner) == (CandidateStatus.PROPOSED, 1, None)
    assert campaigning.find_reasons() == ["The zygote is gone."]
    assert [ring[2] for ring in bell.rings] == [str(judged.id)]


def test_under_a_lock_that_has_become_weaker_than_demanded_nothing_is_decided(sessions: Sessions, jail: Jail) -> None:
    class Weakening(Losing):
        def interfere(self) -> None:
            self.isolation = replace(self.isolation, level=Level.SECCOMP)

    campaigning = Campaigning(sessions, Weakening(jail, sessions), isolation="full")
    judged = campaigning.judge(campaigning.add(OWN))
    assert (judged.status, judged.crashes, judged.graph) == (CandidateStatus.PROPOSED, 1, None)
    assert "demands a jail of level full" in campaigning.find_reasons()[0]


@pytest.mark.parametrize(
    "error", [ValueError("what nobody foresaw"), OSError(28, "No space left"), RuntimeError("\x00 \ud800")]
)
def test_whatever_fails_on_our_side_is_a_crash_with_its_reason(sessions: Sessions, error: Exception) -> None:
    campaigning = Campaigning(sessions, Failing(error))
    judged = campaigning.judge(campaigning.add(DPO))
    assert (judged.status, judged.crashes) == (CandidateStatus.PROPOSED, 1)
    (reason,) = campaigning.find_reasons()
    assert type(error).__name__ in reason


def test_what_the_database_cannot_store_is_a_crash_too(
    campaigning: Campaigning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gating, "_told", lambda _: {"code": math.nan})
    judged = campaigning.judge(campaigning.add(OWN))
    assert (judged.status, judged.crashes) == (CandidateStatus.PROPOSED, 1)


def test_a_verdict_under_a_lost_lease_is_not_written(sessions: Sessions, jail: Jail) -> None:
    campaigning = Campaigning(sessions, Losing(jail, sessions))
    judged = campaigning.judge(campaigning.add(DPO))
    assert (judged.status, judged.attempt, judged.refusal) == (CandidateStatus.GATING, 2, None)


class Losing:
    """While it works, another worker takes over."""

    def __init__(self, jail: Jail, sessions: Sessions) -> None:
        self.jail = jail
        self.sessions = sessions
        self.isolation = jail.isolation

    def run(self, job: str, request: dict[str, Any]) -> Outcome:
        if job == "compile":
            self.interfere()
        return self.jail.run(job, request)

    def interfere(self) -> None:
        with self.sessions.begin() as session:
            session.execute(update(Candidate).values(attempt=Candidate.attempt + 1))


def test_a_candidate_that_is_cancelled_at_the_gate_ends_cancelled(
    sessions: Sessions, jail: Jail, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[Heartbeat] = []

    @contextmanager
    def watched(*args: Any) -> Iterator[Heartbeat]:
        with heartbeat(*args) as beating:
            beats.append(beating)
            yield beating

    class Cancelling(Losing):
        def interfere(self) -> None:
            with self.sessions.begin() as session:
                cancel_campaign(session, campaigning.campaign_id)
            assert beats[0].cancel_requested.wait(10)

    monkeypatch.setattr("discovery_service.engine.heartbeat.RENEW_EVERY_S", 0.01)
    monkeypatch.setattr(gating, "heartbeat", watched)
    campaigning = Campaigning(sessions, Cancelling(jail, sessions))
    assert campaigning.judge(campaigning.add(DPO)).status is CandidateStatus.CANCELLED

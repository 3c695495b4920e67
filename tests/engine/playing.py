"""Campaigns played to their end without a trainer: whatever waits is claimed and measured, with values from a table."""

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import (
    Arena,
    Campaign,
    CampaignProgress,
    Candidate,
    Evaluation,
    Proposal,
    Round,
    Standing,
)
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Build, Failure, Setting
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, Purpose, RoundStatus
from discovery_service.engine.arenas import get_arena, register_arena
from discovery_service.engine.claim import Claim, claim, crash
from discovery_service.engine.measurements import (
    Job,
    find_measurement,
    read_job,
    record_failure,
    record_measurement,
    reuse_measurement,
)
from discovery_service.engine.verdicts import proceed
from discovery_service.engine.work import EVALUATION
from discovery_service.losses.described import list_described
from tests import rows
from tests.engine.measured import SECONDS, Outcome, Trained, write_measured

BUILD = Build(torch="2.13.0", transformers="5.23.0", device="cpu", model="a cpu")
LIBRARY = ("dpo", "ipo", "slic")
ARENA, ELSEWHERE = "table", "elsewhere"
CALIBRATION = {"library": {"spread": {"sd": 0.05, "degrees": 4.0}, "sd": 0.06}}


def document(name: str) -> dict[str, Any]:
    """Of an arena that nobody trains in."""
    setting = {"beta": 1.0, "learning_rate": 1.5e-3, "steps": 120}
    return {"version": 1, "kind": "table", "name": name, "family": Family.PAIRWISE.value, "setting": setting}


Value = Callable[[str, Setting, int, Purpose, str], float | None]
"""Of a loss at a setting, base policy and draw; None where it fails."""


def table(merits: Mapping[str, float], *, noise: float = 0.02, failing: Sequence[str] = ()) -> Value:
    """Each loss is as good as it is at beta 1, less an octave to either side, with noise of its own on every draw."""

    def value(name: str, setting: Setting, policy: int, purpose: Purpose, draw: str) -> float | None:
        if name in failing:
            return None
        shared = _noise(f"{policy} {purpose} {draw}")  # cancels in differences
        own = noise * _noise(f"{name} {policy} {purpose} {draw} {setting}")
        off = 0.1 * abs(setting.beta - 1) + 50 * abs(setting.learning_rate - 1.5e-3) + abs(setting.steps - 120) / 1000
        return merits.get(name, 0.0) - off + shared + own

    return value


def _noise(text: str) -> float:
    return random.Random(hashlib.sha256(text.encode()).digest()).gauss(0, 1)


class Play:
    """One campaign. Losses are those of the package; the ones outside its library are taken for proposed."""

    def __init__(
        self,
        sessions: Sessions,
        value: Value,
        *,
        rounds: Sequence[Sequence[str]] = (("cdpo", "exp"), ("lrml",)),
        library: Sequence[str] = LIBRARY,
        calibration: dict[str, Any] | None = CALIBRATION,
        held_out: Sequence[str] = (),
        is_search_over: bool = True,
        **spec: Any,
    ) -> None:
        self.sessions, self.value = sessions, value
        self.names = {each.graph_sha256: name for name, each in list_described(Family.PAIRWISE).items()}
        confirmation = {"finalists": 1, "min_draws": 9, "detect": 1.0} | spec.pop("confirmation", {})
        with sessions.begin() as session:
            for name in (ARENA, *held_out):
                register_arena(session, document(name))[0].calibration = calibration
            arenas = {"arena": ARENA, "held_out_arenas": list(held_out)}
            campaign = rows.add_campaign(session, library=list(library), confirmation=confirmation, **arenas, **spec)
            self.campaign_id, self.worker_id = campaign.id, rows.add_worker(session).id
            self.arena_id = get_arena(session, ARENA).id
        self.add_round(library, author=Author.LIBRARY)
        for names in rounds:
            self.add_round(names)
        if is_search_over:
            self.end_search()

    def end_search(self) -> None:
        with self.sessions.begin() as session:
            session.get_one(CampaignProgress, self.campaign_id).search_over_at = func.now()

    def add_round(self, names: Iterable[str], *, author: Author = Author.SYMBOLIC, **values: Any) -> None:
        described = list_described(Family.PAIRWISE)
        with self.sessions.begin() as session:
            campaign = session.get_one(Campaign, self.campaign_id)
            sees = () if author is Author.LIBRARY else (0,)
            made_in = rows.add_round(session, campaign, status=RoundStatus.EVALUATING, snapshot_rounds=sees)
            for name in names:
                known = described[name]
                columns = {"graph": known.graph, "graph_sha256": known.graph_sha256, "passport": known.passport}
                rows.add_candidate(
                    session, campaign, made_in=made_in, name=name, author=author, **{**columns, **values}
                )

    def step(self, finished: UUID | None = None) -> None:
        with self.sessions.begin() as session:
            proceed(session, self.campaign_id, finished)

    def claim(self, row_id: UUID) -> Claim | None:
        with self.sessions.begin() as session:
            return claim(session, EVALUATION, row_id, self.worker_id)

    def measure(self, *row_ids: UUID) -> None:
        """As workers do, without the steps that follow; what they leave of several is written at once."""
        with self.sessions.begin() as session:
            if len(row_ids) == 1:
                self._measure(session, *row_ids)
            else:
                write_measured(session, row_ids, BUILD, self._train)

    def _measure(self, session: Session, row_id: UUID) -> None:
        held = claim(session, EVALUATION, row_id, self.worker_id)
        assert held is not None
        self._end(session, held)

    def work(self) -> None:
        """As one worker of several: measure whatever waits and take the campaign's step, until it has ended."""
        while self.get_campaign().status is CampaignStatus.RUNNING:
            for row_id in self.list_waiting():
                held = self.claim(row_id)
                if held is not None:
                    with self.sessions.begin() as session:
                        self._end(session, held)
                    self.step(row_id)

    def _end(self, session: Session, held: Claim) -> None:
        job = read_job(session, held)
        key = job.key(BUILD)
        stored = find_measurement(session, key)
        outcome = self._train(job)
        if stored is not None:
            reuse_measurement(session, held, stored)
        elif isinstance(outcome, Failure):
            record_failure(session, held, outcome, device_seconds=SECONDS)
        else:
            record_measurement(session, held, job, key, metrics=outcome, series={}, device_seconds=SECONDS)

    def _train(self, job: Job | Trained) -> Outcome:
        value = self.value(self.names[job.graph_sha256], job.setting, job.base_policy, job.draw.purpose, job.draw.key)
        if value is None:
            return Failure("non_finite", "It diverged.")
        return {"J": value, "reward": value + 0.1, "kl": 0.1}

    def crash(self, row_id: UUID, held: Claim | None = None) -> None:
        """Until it is abandoned; `held` since before the campaign was paused, at the first of three."""
        with self.sessions.begin() as session:
            session.get_one(Evaluation, row_id).crashes = 2
        held = held or self.claim(row_id)
        assert held is not None
        with self.sessions.begin() as session:
            crash(session, held, "the host was killed")

    def list_waiting(self) -> list[UUID]:
        """In an order that every play repeats: ids are random within a millisecond."""
        order = (Round.number, Proposal.slot, Candidate.turn, Evaluation.purpose, Evaluation.setting_sha256)
        with self.sessions() as session:
            return list(
                session.scalars(
                    select(Evaluation.id)
                    .join(Candidate, Candidate.id == Evaluation.candidate_id)
                    .join(Proposal, Proposal.id == Candidate.proposal_id)
                    .join(Round, Round.id == Proposal.round_id)
                    .where(Evaluation.campaign_id == self.campaign_id, Evaluation.status == EvaluationStatus.QUEUED)
                    .order_by(*order, Evaluation.arena_id, Evaluation.base_policy, Evaluation.draw, Evaluation.salt)
                )
            )

    def run(self, *, chance: random.Random | None = None, lost: float = 0.0, until: Purpose | None = None) -> None:
        """Until nothing waits: with a step after all that waited was measured, or, by chance, in any order and one at
        a time, each with its step except for so many that are lost.

        `until` stops at the first evaluation of that purpose.
        """
        self.step()
        while waiting := self.list_waiting():
            if until is not None and any(self.get(row_id).purpose is until for row_id in waiting):
                return
            if chance is None:
                self.measure(*waiting)
            else:
                chance.shuffle(waiting)
                for row_id in waiting[: chance.randint(1, len(waiting))]:
                    self.measure(row_id)
                    if chance.random() >= lost:
                        self.step(row_id)
            self.step()

    def get(self, row_id: UUID) -> Evaluation:
        with self.sessions() as session:
            return session.get_one(Evaluation, row_id)

    def get_campaign(self) -> Campaign:
        with self.sessions() as session:
            return session.get_one(Campaign, self.campaign_id)

    def evaluations(self, **where: Any) -> list[tuple[str, Evaluation]]:
        """With the names of their candidates."""
        with self.sessions() as session:
            query = select(Candidate.name, Evaluation).join(Evaluation, Evaluation.candidate_id == Candidate.id)
            wanted = (getattr(Evaluation, name) == value for name, value in where.items())
            query = query.where(Evaluation.campaign_id == self.campaign_id, *wanted)
            return [(name, row) for name, row in session.execute(query)]

    def keys(self) -> set[tuple[Any, ...]]:
        """The natural keys of all evaluations, with what became of them."""
        with self.sessions() as session:
            arenas = dict(session.execute(select(Arena.id, Arena.name)).all())
        return {
            (name, arenas[row.arena_id], row.base_policy, row.setting_sha256, row.purpose, row.draw, row.status)
            for name, row in self.evaluations()
        }

    def counts(self, purpose: Purpose, *, arena_id: UUID | None = None) -> dict[str, int]:
        """How many evaluations each candidate has had."""
        with self.sessions() as session:
            query = (
                select(Candidate.name, func.count())
                .join(Evaluation, Evaluation.candidate_id == Candidate.id)
                .where(Evaluation.campaign_id == self.campaign_id, Evaluation.purpose == purpose)
                .where(Evaluation.arena_id == (arena_id or self.arena_id))
                .group_by(Candidate.name)
            )
            return dict(session.execute(query).all())

    def standings(self, stage: Purpose, *, arena_id: UUID | None = None) -> dict[str, Standing]:
        with self.sessions() as session:
            query = select(Candidate.name, Standing).join(Standing, Standing.candidate_id == Candidate.id)
            where = (Standing.campaign_id == self.campaign_id, Standing.stage == stage)
            query = query.where(*where, Standing.arena_id == (arena_id or self.arena_id))
            return dict(session.execute(query).all())

    def stopped(self) -> list[list[int] | None]:
        with self.sessions() as session:
            query = select(Round.stopped_slots).where(Round.campaign_id == self.campaign_id)
            return list(session.scalars(query.order_by(Round.number)))

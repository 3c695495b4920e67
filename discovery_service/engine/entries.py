"""Reads who takes part in a campaign, and what was measured of each in an arena: every step starts from that."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from discovery_service.db.tables import CUT, Arena, Candidate, Evaluation, Measurement, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.differences import Occasion
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.known_losses import KNOWN_LOSSES, REFERENCES
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.published import add_attained
from discovery_service.domain.stages import Course, Wanted, follow_course, list_missing
from discovery_service.domain.standings import ABANDONED, Trained
from discovery_service.domain.states import CandidateStatus, EvaluationStatus, Purpose, RoundStatus
from discovery_service.domain.tuning_plans import TuningPlan, find_plan
from discovery_service.domain.user_arenas import counted_metric

NO_VALUE = "no_value"
"""A measurement in which the metric that counts is absent."""
SALT = func.coalesce(Proposal.request["salt"].astext, "")
"""What a placebo campaign asks for: its candidates are all DPO, and each has draws of its own by this."""
JUDGED = (RoundStatus.EVALUATING, RoundStatus.CLOSED)
"""A round is evaluated once all of its candidates are judged and twins among them settled: what is trained may not
depend on who was faster."""


@dataclass
class Record:
    """What became of a candidate's evaluations in one arena."""

    arena: Mapping[str, Any]
    """Its document."""
    measured: dict[Wanted, float | None] = field(default_factory=dict)
    """The value that counts; None where the candidate failed."""
    metrics: dict[Wanted, dict[str, Any]] = field(default_factory=dict)
    failures: dict[Wanted, str] = field(default_factory=dict)
    in_motion: set[Wanted] = field(default_factory=set)

    @cached_property
    def counts(self) -> str:
        return counted_metric(self.arena)

    def add(self, wanted: Wanted, status: EvaluationStatus, metrics: dict[str, Any] | None, code: str | None) -> None:
        match status:
            case EvaluationStatus.SUCCEEDED if metrics is not None and metrics.get(self.counts) is not None:
                self.measured[wanted] = metrics[self.counts]
                self.metrics[wanted] = metrics
            case EvaluationStatus.SUCCEEDED | EvaluationStatus.FAILED:
                self.measured[wanted] = None
                self.failures[wanted] = code or NO_VALUE
            case EvaluationStatus.ABANDONED:
                self.failures[wanted] = ABANDONED
            case EvaluationStatus.QUEUED | EvaluationStatus.RUNNING:
                self.in_motion.add(wanted)

    def list_missing(self, needed: Collection[Wanted]) -> list[Wanted]:
        return list_missing(needed, self.in_motion | self.failures.keys())

    def trained(self, setting: Setting, wanted: Iterable[Wanted]) -> Trained:
        """What came of these, which are all of one setting."""
        asked = list(wanted)
        return Trained(
            setting,
            self.counts,
            {
                each.occasion: add_attained(self.metrics[each], self.arena, each.base_policy)
                for each in asked
                if each in self.metrics
            },
            {each.occasion: self.failures[each] for each in asked if each in self.failures},
        )


@dataclass(frozen=True)
class Entry:
    """An accepted candidate, with what was measured of it in an arena."""

    candidate_id: UUID
    name: str
    author: Author
    graph_sha256: str
    uses_beta: bool
    is_known: bool
    """A loss of the campaign's library, or a twin of one: no discovery, whatever it is better than."""
    round_id: UUID
    round_number: int
    slot: int
    goes_on: bool
    """Past the halving: its round had one that did not stop it, or has none."""
    is_stopped: bool
    is_cut: bool
    """Out of the race, whatever is still measured of it."""
    record: Record
    plan: TuningPlan
    screen_draws: int
    shipped: tuple[Setting, ...]
    """With which the campaign took it, tuned by the same plan when the arena was calibrated; empty: it is tuned."""
    salt: str
    """Of its draws: of a placebo, which has pairs, labels and order of its own."""

    @property
    def is_reference(self) -> bool:
        return self.author is Author.LIBRARY and self.name in REFERENCES

    @cached_property
    def course(self) -> Course:
        return follow_course(
            self.plan,
            self.record.measured,
            uses_beta=self.uses_beta,
            goes_on=self.goes_on,
            screen_draws=self.screen_draws,
            shipped=self.shipped,
            salt=self.salt,
        )

    @property
    def missing(self) -> list[Wanted]:
        return [] if self.is_cut else self.record.list_missing(self.course.needed)

    @property
    def is_unranked(self) -> bool:
        """We gave up on a training that it needs: nobody waits for it, and nothing is said of it."""
        if self.record.in_motion or self.missing:
            return False
        return any(self.record.failures.get(each) == ABANDONED for each in self.course.needed)

    @property
    def is_settled(self) -> bool:
        return self.is_cut or self.is_stopped or self.course.is_complete or self.is_unranked

    @property
    def trained(self) -> Trained | None:
        """On the draws of the screen; None without one."""
        chosen = None if self.is_cut else self.course.tuning.chosen
        return None if chosen is None else self.record.trained(chosen, self.course.screen)


@dataclass(frozen=True)
class Field:
    """All that take part, in the order of rounds and slots, in one arena."""

    arena: Arena
    entries: Sequence[Entry]

    @property
    def reference(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.is_reference), None)

    @property
    def has_reference(self) -> bool:
        """Whether the family's reference came through the screen: without it nothing has an interval."""
        trained = None if self.reference is None else self.reference.trained
        return trained is not None and trained.is_measured(self.occasions)

    @property
    def looked_at(self) -> int:
        """How many a finalist is one of: all that were proposed, known or not."""
        return sum(entry.author is not Author.LIBRARY for entry in self.entries)

    @property
    def occasions(self) -> list[Occasion]:
        """On which every loss of the field is screened."""
        screens = (entry.course.screen for entry in self.entries)
        return [each.occasion for each in next(filter(None, screens), ())]


def read_field(
    session: Session,
    campaign_id: UUID,
    spec: CampaignSpec,
    arena: Arena,
    *,
    only: Collection[UUID] | None = None,
    is_held_out: bool = False,
) -> Field:
    """With `only`, no more than these candidates. In a held-out arena nothing is halved or screened."""
    plan = find_plan(arena.spec)
    library = KNOWN_LOSSES[spec.family] if spec.library == "all" else spec.library
    entries = []
    for row in session.execute(_select_accepted(campaign_id, arena, only)):
        if row.uses_beta is None:
            raise ValueError(f"the passport of candidate {row.id} does not say whether it uses beta; judge it again")
        stopped = [] if is_held_out or row.number == LIBRARY_ROUND else row.stopped_slots
        entries.append(
            Entry(
                candidate_id=row.id,
                name=row.name,
                author=row.author,
                graph_sha256=row.graph_sha256,
                uses_beta=row.uses_beta,
                # A placebo is there to be taken for a discovery, if anything is.
                is_known=row.author is Author.LIBRARY or (not row.salt and _find_known(row.twin or {}) in library),
                round_id=row.round_id,
                round_number=row.number,
                slot=row.slot,
                goes_on=stopped is not None and row.slot not in stopped,
                is_stopped=stopped is not None and row.slot in stopped,
                is_cut=bool(row.is_cut),
                record=Record(arena.spec),
                plan=plan,
                screen_draws=0 if is_held_out else spec.tuning.screen_draws,
                shipped=tuple(Setting(**each) for each in row.shipped or ()),
                salt=row.salt,
            )
        )
    records = {entry.candidate_id: entry.record for entry in entries}
    wanted = select_outcomes().where(
        Evaluation.arena_id == arena.id,
        Evaluation.candidate_id.in_(records),
        Evaluation.purpose.in_((Purpose.TUNE, Purpose.SCREEN)),
    )
    add_outcomes(session, wanted, records)
    return Field(arena, entries)


def _find_known(twin: Mapping[str, Any]) -> str | None:
    """The loss of the library that it is a twin of. What was judged before that was stored has the nearest one's name,
    of whatever that is."""
    found: str | None = twin["library"] if "library" in twin else twin.get("name")
    return found


def _select_accepted(campaign_id: UUID, arena: Arena, only: Collection[UUID] | None) -> Select[Any]:
    query = (
        select(
            *(Candidate.id, Candidate.name, Candidate.author, Candidate.graph_sha256),
            # Of passports no more than this: they are most of what a candidate's row holds.
            Candidate.passport["uses"]["beta"].label("uses_beta"),
            *(Candidate.twin, Round.id.label("round_id"), Round.number, Round.stopped_slots, Proposal.slot),
            Proposal.outcome.has_key(CUT).label("is_cut"),
            Proposal.request[("settings", arena.content_sha256)].label("shipped"),
            SALT.label("salt"),
        )
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .join(Round, Round.id == Proposal.round_id)
        .where(
            Round.campaign_id == campaign_id,
            Round.status.in_(JUDGED),
            Candidate.status == CandidateStatus.ACCEPTED,
        )
        .order_by(Round.number, Proposal.slot, Candidate.turn)
    )
    return query if only is None else query.where(Candidate.id.in_(only))


def select_outcomes() -> Select[Any]:
    """What became of evaluations, for `add_outcomes`."""
    return select(
        *(Evaluation.candidate_id, Evaluation.setting, Evaluation.base_policy, Evaluation.purpose, Evaluation.draw),
        *(Evaluation.salt, Evaluation.status, Evaluation.failure, Measurement.metrics),
    ).outerjoin(Measurement, Measurement.id == Evaluation.measurement_id)


def add_outcomes(session: Session, query: Select[Any], records: dict[UUID, Record]) -> None:
    for row in session.execute(query):
        wanted = Wanted(Setting(**row.setting), row.base_policy, Draw(row.purpose, row.draw, row.salt))
        code = (row.failure or {}).get("code")
        records[row.candidate_id].add(wanted, row.status, row.metrics, code)

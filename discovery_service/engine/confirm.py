"""The third stage: what was frozen is trained on draws that follow from the freeze, and compared with references."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.tables import Arena, Candidate, Evaluation, Finalist, Freeze, Proposal, Seal
from discovery_service.domain.differences import Occasion
from discovery_service.domain.freezing import ConfirmationPlan, Role, list_confirm_draws
from discovery_service.domain.known_losses import REFERENCES
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.stages import Wanted
from discovery_service.domain.standings import (
    Score,
    Trained,
    score_confirmation,
    score_reference,
    tell_unfinished,
)
from discovery_service.domain.states import TRAINED
from discovery_service.engine.entries import SALT, Record, add_outcomes, select_outcomes
from discovery_service.engine.freeze import find_digest_of, read_plan
from discovery_service.engine.schedule import schedule


class BrokenSeal(ValueError):
    """Somebody changed what was frozen."""


@dataclass(frozen=True)
class Confirmed:
    """A frozen loss, with what its confirmation has measured so far."""

    candidate_id: UUID
    name: str
    role: Role
    wanted: Mapping[Setting, Sequence[Wanted]]
    """At each setting with which it was frozen, the chosen one first."""
    record: Record

    @property
    def needed(self) -> list[Wanted]:
        return list(chain.from_iterable(self.wanted.values()))

    @property
    def is_settled(self) -> bool:
        """Measured or failed, all of it; one that we gave up on is neither."""
        return all(each in self.record.measured for each in self.needed)

    @property
    def trained(self) -> list[Trained]:
        return [self.record.trained(setting, wanted) for setting, wanted in self.wanted.items()]


@dataclass(frozen=True)
class Confirmation:
    arena: Arena
    plan: ConfirmationPlan
    draws: Sequence[tuple[int, Draw]]
    """With the base policy of each."""
    losses: Sequence[Confirmed]
    """The reference first."""

    @property
    def is_settled(self) -> bool:
        return all(each.is_settled for each in self.losses)


def read_confirmation(session: Session, freeze: Freeze) -> Confirmation:
    """Of a sealed freeze. BrokenSeal where what was sealed is not what stands in the rows."""
    plan = read_plan(freeze)
    arena = session.get_one(Arena, freeze.arena_id)
    digest = session.get_one(Seal, freeze.id).digest
    if find_digest_of(session, freeze) != digest:
        raise BrokenSeal(
            f"What was frozen in {arena.name} is no longer what was sealed: a loss, the arena or the seed was changed"
            " past the service. Nothing is said of it before whoever looks after the database has put it back."
        )
    draws = list_confirm_draws(digest, plan.base_policies, plan.draws)
    query = (
        select(Finalist, Candidate.name, SALT.label("salt"))
        .join(Candidate, Candidate.id == Finalist.candidate_id)
        .join(Proposal, Proposal.id == Candidate.proposal_id)
        .where(Finalist.freeze_id == freeze.id)
        .order_by(Candidate.name.not_in(REFERENCES), Candidate.name, Candidate.id, Finalist.rank)
    )
    losses = []
    for candidate_id, group in groupby(session.execute(query), key=lambda row: row.Finalist.candidate_id):
        rows = list(group)
        settings = [Setting(**row.Finalist.setting) for row in rows]
        own = [(policy, replace(draw, salt=rows[0].salt)) for policy, draw in draws]
        wanted = {setting: [Wanted(setting, policy, draw) for policy, draw in own] for setting in settings}
        role, record = Role(rows[0].Finalist.role), Record(arena.spec)
        losses.append(Confirmed(candidate_id, rows[0].name, role, wanted, record))
    records = {each.candidate_id: each.record for each in losses}
    add_outcomes(session, select_outcomes().where(Evaluation.seal_id == freeze.id), records)
    return Confirmation(arena, plan, draws, losses)


def schedule_confirmation(session: Session, freeze: Freeze, confirmation: Confirmation) -> int:
    """What is not there yet; none of it could be before the seal."""
    wanted = [
        (loss.candidate_id, each)
        for loss in confirmation.losses
        for each in loss.record.list_missing([each for each in loss.needed if each not in loss.record.measured])
    ]
    return schedule(session, freeze.campaign_id, freeze.arena_id, wanted, seal_id=freeze.id)


def score_confirmed(confirmation: Confirmation) -> dict[UUID, Score]:
    """Bare, before all of it is measured: whoever looks at one earlier decides by it what becomes of the others."""
    if not confirmation.is_settled:
        return {loss.candidate_id: tell_unfinished(loss.role, loss.trained[0]) for loss in confirmation.losses}
    references = {loss.name: loss.trained for loss in confirmation.losses if loss.role is Role.REFERENCE}
    occasions = [Occasion(policy, draw.key) for policy, draw in confirmation.draws]

    def score(loss: Confirmed) -> Score:
        if loss.role is Role.REFERENCE:
            return score_reference(loss.trained, occasions)
        return score_confirmation(loss.trained[0], references, occasions, confirmation.plan.finalists)

    return {loss.candidate_id: score(loss) for loss in confirmation.losses}


def list_unfinished(session: Session, seals: Iterable[UUID | None]) -> set[UUID]:
    """Of these the seals of which some training is still to come, or never came."""
    given = {each for each in seals if each is not None}
    query = select(Evaluation.seal_id).where(Evaluation.seal_id.in_(given), Evaluation.status.not_in(TRAINED))
    return {each for each in session.scalars(query.distinct()) if each is not None}

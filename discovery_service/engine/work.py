"""The three kinds of work that workers claim, and what each calls waiting and held."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, func, or_, true

from discovery_service.db.tables import Candidate, Evaluation, Exchange
from discovery_service.domain.states import CandidateStatus, EvaluationStatus, ExchangeStatus

WorkRow = Exchange | Candidate | Evaluation


@dataclass(frozen=True)
class WorkKind:
    name: str
    table: type[WorkRow]
    waiting: StrEnum
    held: StrEnum
    cancelled: StrEnum
    abandoned: StrEnum
    queue: str
    task: str


EXCHANGE = WorkKind(
    name="exchange",
    table=Exchange,
    waiting=ExchangeStatus.QUEUED,
    held=ExchangeStatus.ASKING,
    cancelled=ExchangeStatus.CANCELLED,
    abandoned=ExchangeStatus.ABANDONED,
    queue="propose",
    task="propose.ask",
)
CANDIDATE = WorkKind(
    name="candidate",
    table=Candidate,
    waiting=CandidateStatus.PROPOSED,
    held=CandidateStatus.GATING,
    cancelled=CandidateStatus.CANCELLED,
    abandoned=CandidateStatus.ABANDONED,
    queue="gate",
    task="gate.pass",
)
EVALUATION = WorkKind(
    name="evaluation",
    table=Evaluation,
    waiting=EvaluationStatus.QUEUED,
    held=EvaluationStatus.RUNNING,
    cancelled=EvaluationStatus.CANCELLED,
    abandoned=EvaluationStatus.ABANDONED,
    queue="evaluate",
    task="evaluate.train",
)

WORK_KINDS = (EXCHANGE, CANDIDATE, EVALUATION)


def is_due(kind: WorkKind) -> ColumnElement[bool]:
    """Of what waits: whether it may be begun by now. Only an endpoint of a language model asks for time."""
    if kind is not EXCHANGE:
        return true()
    return or_(Exchange.not_before.is_(None), Exchange.not_before <= func.now())

"""What a proposal needs next, from how its exchanges and candidates stand: pure, so that any worker finds the same.

A reply that holds no loss, or a source that the gate refuses, goes back to whoever can be asked again, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from discovery_service.domain.authors import Author
from discovery_service.domain.states import CandidateStatus, ExchangeStatus, ProposalStatus

MAX_REPAIRS = 2
"""Of one proposal."""


class Next(StrEnum):
    ASK = "ask"
    """A first or another exchange, of the turn that the step names."""
    READ = "read"
    """A reply waits to be read."""
    WAIT = "wait"
    """Somebody is asked, or the gate judges."""
    END = "end"


@dataclass(frozen=True)
class Step:
    next: Next
    turn: int = 0
    status: ProposalStatus | None = None
    """How it ends."""


@dataclass(frozen=True)
class Turn:
    """An exchange, and the candidate that its reply has become."""

    exchange: ExchangeStatus
    has_loss: bool | None = None
    """Whether its reply, once it was read, held one."""
    candidate: CandidateStatus | None = None


def find_step(author: Author, turns: Sequence[Turn]) -> Step:
    """By the last turn; the earlier ones were refused."""
    if not turns:
        return Step(Next.ASK)
    turn, last = len(turns) - 1, turns[-1]
    if last.exchange in (ExchangeStatus.QUEUED, ExchangeStatus.ASKING):
        return Step(Next.WAIT, turn)
    if last.exchange is not ExchangeStatus.ANSWERED:
        return Step(Next.END, turn, ProposalStatus.FAILED)
    if last.has_loss is None:
        return Step(Next.READ, turn)
    if last.has_loss and last.candidate in (CandidateStatus.PROPOSED, CandidateStatus.GATING):
        return Step(Next.WAIT, turn)
    if (not last.has_loss or last.candidate is CandidateStatus.REJECTED) and turn < count_repairs(author):
        return Step(Next.ASK, turn + 1)
    return Step(Next.END, turn, ProposalStatus.ANSWERED if last.has_loss else ProposalStatus.UNPARSABLE)


def count_repairs(author: Author) -> int:
    """How often it can be asked again; a recording says the same each time, and a person sends another one."""
    return MAX_REPAIRS if author in (Author.LLM, Author.SYMBOLIC) else 0

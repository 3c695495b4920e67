"""Which states things can be in, and which transitions are legal. The order of classes is the flow of data."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class CampaignStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RoundStatus(StrEnum):
    QUEUED = "queued"
    """Somebody has asked for it, or has proposed something that it will hold; the engine opens it in its turn."""
    PROPOSING = "proposing"
    GATING = "gating"
    EVALUATING = "evaluating"
    CLOSED = "closed"


class ProposalStatus(StrEnum):
    QUEUED = "queued"
    ASKING = "asking"
    ANSWERED = "answered"
    UNPARSABLE = "unparsable"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExchangeStatus(StrEnum):
    QUEUED = "queued"
    ASKING = "asking"
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


class CandidateStatus(StrEnum):
    PROPOSED = "proposed"
    GATING = "gating"
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


class EvaluationStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


TRAINED = (EvaluationStatus.SUCCEEDED, EvaluationStatus.FAILED)
"""Of evaluations whose training came to an end of its own: they are charged, and nothing of them is still to come."""


class Purpose(StrEnum):
    """What a draw is for; draws of different purposes never share randomness."""

    TUNE = "tune"
    SCREEN = "screen"
    CONFIRM = "confirm"
    CALIBRATE = "calibrate"


class WorkerState(StrEnum):
    """Of a worker in the fleet, by when its row was seen last; nothing decides by it."""

    LIVE = "live"
    LOST = "lost"
    STOPPED = "stopped"


_C, _R, _P, _X, _G, _E = (
    CampaignStatus,
    RoundStatus,
    ProposalStatus,
    ExchangeStatus,
    CandidateStatus,
    EvaluationStatus,
)

# Work goes back to its waiting state when the attempt crashed: that is our fault, never the candidate's.
TRANSITIONS: Mapping[type[StrEnum], Mapping[Any, frozenset[Any]]] = {
    CampaignStatus: {
        _C.QUEUED: frozenset({_C.RUNNING, _C.PAUSED, _C.CANCELLING, _C.FAILED}),
        _C.RUNNING: frozenset({_C.PAUSED, _C.CANCELLING, _C.COMPLETED, _C.FAILED}),
        _C.PAUSED: frozenset({_C.QUEUED, _C.RUNNING, _C.CANCELLING}),
        _C.CANCELLING: frozenset({_C.CANCELLED}),
        _C.COMPLETED: frozenset({_C.RUNNING}),
        _C.FAILED: frozenset(),
        _C.CANCELLED: frozenset(),
    },
    RoundStatus: {
        _R.QUEUED: frozenset({_R.PROPOSING, _R.CLOSED}),
        _R.PROPOSING: frozenset({_R.GATING, _R.CLOSED}),
        _R.GATING: frozenset({_R.EVALUATING, _R.CLOSED}),
        _R.EVALUATING: frozenset({_R.CLOSED}),
        _R.CLOSED: frozenset(),
    },
    ProposalStatus: {
        # A person's is answered as soon as its round opens: nobody is asked.
        _P.QUEUED: frozenset({_P.ASKING, _P.ANSWERED, _P.FAILED, _P.CANCELLED}),
        _P.ASKING: frozenset({_P.ANSWERED, _P.UNPARSABLE, _P.FAILED, _P.QUEUED, _P.CANCELLED}),
        _P.ANSWERED: frozenset({_P.ASKING}),
        _P.UNPARSABLE: frozenset(),
        _P.FAILED: frozenset(),
        _P.CANCELLED: frozenset(),
    },
    ExchangeStatus: {
        _X.QUEUED: frozenset({_X.ASKING, _X.CANCELLED}),
        _X.ASKING: frozenset({_X.ANSWERED, _X.FAILED, _X.QUEUED, _X.CANCELLED, _X.ABANDONED}),
        _X.ANSWERED: frozenset(),
        _X.FAILED: frozenset(),
        _X.CANCELLED: frozenset(),
        _X.ABANDONED: frozenset(),
    },
    CandidateStatus: {
        _G.PROPOSED: frozenset({_G.GATING, _G.CANCELLED}),
        _G.GATING: frozenset({_G.ACCEPTED, _G.REJECTED, _G.PROPOSED, _G.CANCELLED, _G.ABANDONED}),
        _G.REJECTED: frozenset(),
        # A twin of one that was judged beside it, which is seen only once both are.
        _G.ACCEPTED: frozenset({_G.REJECTED}),
        _G.CANCELLED: frozenset(),
        _G.ABANDONED: frozenset(),
    },
    EvaluationStatus: {
        _E.QUEUED: frozenset({_E.RUNNING, _E.CANCELLED}),
        _E.RUNNING: frozenset({_E.SUCCEEDED, _E.FAILED, _E.QUEUED, _E.CANCELLED, _E.ABANDONED}),
        _E.SUCCEEDED: frozenset(),
        _E.FAILED: frozenset(),
        # Whatever still waited when its campaign was completed waits again in the campaign's extension.
        _E.CANCELLED: frozenset({_E.QUEUED}),
        _E.ABANDONED: frozenset({_E.QUEUED}),
    },
}


def is_legal(current: StrEnum, target: StrEnum) -> bool:
    return type(current) is type(target) and target in TRANSITIONS[type(current)][current]


def is_final(status: StrEnum) -> bool:
    """Whether nothing moves by itself from here; a user may still extend or retry."""
    return status not in _IN_MOTION


_IN_MOTION: frozenset[StrEnum] = frozenset(
    {
        *(_C.QUEUED, _C.RUNNING, _C.PAUSED, _C.CANCELLING),
        *(_R.QUEUED, _R.PROPOSING, _R.GATING, _R.EVALUATING),
        *(_P.QUEUED, _P.ASKING),
        *(_X.QUEUED, _X.ASKING),
        *(_G.PROPOSED, _G.GATING),
        *(_E.QUEUED, _E.RUNNING),
    }
)

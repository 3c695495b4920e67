"""What became of a question to a language model: a reply, or a failure that says what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from discovery_service.domain.token_costs import NOTHING, Spent


class Consequence(StrEnum):
    """What a failure means for who asked."""

    RETRY = "retry"
    """The endpoint may answer later."""
    PAUSE = "pause"
    """Nothing will be answered until a person mends what the message says: the campaign pauses with it."""
    GIVE_UP = "give_up"
    """This question is not answered, another one may be: the proposal ends."""
    CANCELLED = "cancelled"
    """Nobody waits for the answer any more."""
    HOLD = "hold"
    """Nobody was asked: the question waits as before."""


class FaultCode(StrEnum):
    UNREACHABLE = "unreachable"
    CUT = "connection_cut"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "server_error"
    MALFORMED = "malformed_answer"
    TOO_LARGE = "answer_too_large"
    NO_KEY = "no_key"
    NO_ENDPOINT = "no_endpoint"
    NO_PRICE = "no_price"
    UNUSABLE_SETTINGS = "unusable_settings"
    UNAUTHORIZED = "unauthorized"
    QUOTA = "insufficient_quota"
    NOT_FOUND = "model_not_found"
    BAD_REQUEST = "bad_request"
    TOO_LONG = "context_length_exceeded"
    FILTERED = "content_filter"
    EMPTY = "empty_reply"
    CUT_WHILE_THINKING = "no_tokens_left"
    NOT_RECORDED = "not_recorded"
    CANCELLED = "cancelled"
    PAUSED = "paused"


@dataclass(frozen=True)
class Failure:
    code: FaultCode
    consequence: Consequence
    message: str
    """Whose fault it is and what to do next; nothing secret in it."""
    retry_after_s: float | None = None
    """When the endpoint wants to be asked again, where it says so."""
    spent: Spent = NOTHING
    """Not nothing where the endpoint may have worked, and charged, for an answer that never came."""

    def document(self) -> dict[str, str]:
        """As the exchange keeps it."""
        return {"code": self.code.value, "message": self.message}


@dataclass(frozen=True)
class Reply:
    text: str
    """Never empty, and without characters that the database refuses."""
    model: str
    """Who answered, by the endpoint's own account."""
    spent: Spent


Outcome = Reply | Failure

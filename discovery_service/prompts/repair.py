"""What goes back to the model when its reply held no loss or the gate refused it: the typed reason, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from discovery_service.prompts.brief import Message
from discovery_service.prompts.parse import ReplyFailure
from discovery_service.prompts.replies import show_reply
from discovery_service.prompts.shown import show_line
from discovery_service.prompts.templates import read_words

MOST_REASONS = 5
"""Of a source that is wrong in many ways; the first ones, and the first decides."""
_DUPLICATE = "duplicate"


def tell_failure(failure: ReplyFailure, *, left: int) -> str:
    """`left` are the corrections that are left, the one that is asked for among them."""
    words = read_words()
    said = words.say("repair.reply", code=failure.code.value, message=show_line(failure.message))
    return f"{said}\n\n{words.say('repair.again', left=_tell_left(left))}"


def tell_refusals(refusals: Sequence[Mapping[str, Any]], *, left: int) -> str:
    """Of the gate: documents with code, message and line, the first of which decided."""
    if not refusals:
        raise ValueError("A gate that refuses a loss says why.")
    words = read_words()
    reasons = "\n".join(map(_tell_refusal, refusals[:MOST_REASONS]))
    is_duplicate = refusals[0]["code"] == _DUPLICATE
    asked = words.say("repair.duplicate" if is_duplicate else "repair.again", left=_tell_left(left))
    return f"{words.say('repair.gate', refusals=reasons)}\n\n{asked}"


def ask_again(messages: Sequence[Message], reply: str, told: str) -> tuple[Message, ...]:
    """The exchange so far, the reply as far as it matters, and what was said to it."""
    return (*messages, Message("assistant", show_reply(reply)), Message("user", told))


def _tell_refusal(refusal: Mapping[str, Any]) -> str:
    line = f", line {refusal['line']} of the code" if refusal.get("line") else ""
    return f"- `{refusal['code']}`{line}: {show_line(refusal['message'])}"


def _tell_left(left: int) -> str:
    return "This is the last correction." if left <= 1 else f"{left} corrections are left, this one among them."

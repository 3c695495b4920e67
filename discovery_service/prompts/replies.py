"""A reply as it goes back to the model that wrote it: without what it thought aloud, never empty, never without end."""

from discovery_service.prompts.thinking import drop_thinking

MAX_CHARACTERS = 24_000
"""A source may have 16,384; what is longer is no proposal, and half of it from either end shows what it is."""
_EMPTY = "(an empty reply)"
"""Endpoints refuse a message without content."""


def show_reply(reply: str) -> str:
    answer, _ = drop_thinking(reply[: 20 * MAX_CHARACTERS])
    answer = answer.strip() or _EMPTY
    left_out = len(answer) - MAX_CHARACTERS
    if left_out <= 0:
        return answer
    half = MAX_CHARACTERS // 2
    return f"{answer[:half]}\n(… {left_out:,} characters left out …)\n{answer[-half:]}"

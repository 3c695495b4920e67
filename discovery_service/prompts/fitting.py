"""How a prompt is kept within its budget of tokens: what can be spared goes piece by piece, the least useful first."""

from collections.abc import Callable, Collection, Sequence

from discovery_service.domain.requests import Kind, Request
from discovery_service.errors import Unprocessable
from discovery_service.prompts.brief import Cut, Message, Part, Prompt
from discovery_service.prompts.tokens import PER_MESSAGE, count_cautiously, count_tokens


class PromptTooLong(Unprocessable):
    """What no prompt of the campaign can do without is longer than the budget."""

    slug, title = "prompt_too_long", "The prompt does not fit into its budget"


def count_messages(messages: Sequence[Message]) -> int:
    return sum(PER_MESSAGE + count_tokens(each.content) for each in messages)


def fits(messages: Sequence[Message], room_tokens: int | None) -> bool:
    """Into what a model's context leaves for a prompt; None where nobody has told it."""
    return room_tokens is None or _count_cautiously(messages) <= room_tokens


def _count_cautiously(messages: Sequence[Message]) -> int:
    return sum(PER_MESSAGE + count_cautiously(each.content) for each in messages)


def fit(
    version: str,
    write: Callable[[Collection[Cut]], Sequence[Message]],
    expendable: Sequence[Cut],
    budget_tokens: int,
    room_tokens: int | None = None,
) -> Prompt:
    """The prompt with as few cuts as make it fit, made in the order in which they are named. Raises PromptTooLong."""
    tokens, messages = 0, tuple[Message, ...]()
    for count in range(len(expendable) + 1):
        messages = tuple(write(frozenset(expendable[:count])))
        tokens = count_messages(messages)
        if tokens <= budget_tokens and fits(messages, room_tokens):
            return Prompt(version, messages, tokens, tuple(expendable[:count]))
    if tokens <= budget_tokens:
        raise PromptTooLong(
            f"The prompt may have {_count_cautiously(messages)} tokens without all that can be left out, and a model's"
            f" context leaves {room_tokens} for it: give its profile a larger context_tokens, where its endpoint takes"
            " more, or a smaller max_tokens, for all workers and the API, or shorten the guidance."
        )
    raise PromptTooLong(
        f"The prompt has about {tokens} tokens without all that can be left out, and {budget_tokens} are allowed:"
        " shorten the guidance."
    )


def narrow(request: Request, cuts: Collection[Cut]) -> Request:
    """What is still asked for: of two parents that do not fit a change of the first, without parents something new."""
    parents = tuple(each for each in request.parents if Cut(Part.PARENT, each) not in cuts)
    inspirations = tuple(each for each in request.inspirations if Cut(Part.INSPIRATION, each) not in cuts)
    return Request((Kind.FRESH, Kind.IMPROVE, Kind.COMBINE)[len(parents)], parents, inspirations)

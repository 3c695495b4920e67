"""The next prompt of a campaign: a pure function of what is handed in, whatever the order of its rows."""

from dataclasses import replace

from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.requests import Kind, Request
from discovery_service.prompts.brief import Brief, Context, Prompt
from discovery_service.prompts.conversation import Conversation, only_library
from discovery_service.prompts.fitting import fit
from discovery_service.prompts.question import Question
from discovery_service.prompts.templates import read_words


def write_prompt(brief: Brief, context: Context, *, budget_tokens: int, room_tokens: int | None = None) -> Prompt:
    """As the strategy asks. Raises PromptTooLong where not even what it cannot do without fits into the budget, or
    into the room that a model's context leaves."""
    words = read_words()
    asked: Question | Conversation
    match context.strategy:
        case StrategyName.EVOLVE:
            asked = Question(brief, context, words, is_measured=True)
        case StrategyName.BLIND:
            blind = replace(context, archive=context.archive.without_measurements())
            asked = Question(brief, blind, words, is_measured=False)
        case StrategyName.BEST_OF_N:
            alone = replace(context, archive=only_library(context.archive), request=Request(Kind.FRESH))
            asked = Question(brief, alone, words, is_measured=True)
        case StrategyName.DISCOPOP:
            asked = Conversation(brief, context, words)
    return fit(words.version, asked.write, asked.list_expendable(), budget_tokens, room_tokens)

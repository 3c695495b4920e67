"""What `discovery doctor --llm` tells of language models: each that is configured is asked one cheap question."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

from discovery_service.settings import LlmSettings, get_openai_settings, get_settings
from workers.llm.asking import Question, ask
from workers.llm.dialect import ReplyFormat, find_dialect
from workers.llm.models import Model, find_model
from workers.llm.outcomes import Consequence, Failure, FaultCode, Outcome

QUESTION = Question(
    messages=({"role": "user", "content": 'Answer with nothing but this JSON object: {"answer": "yes"}'},),
    schema={
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    },
)
# Enough for a model that thinks before it answers; the others stop after ten.
MOST_TOKENS = 512
MOST_TIME_S = 60.0
TAKES = {
    ReplyFormat.SCHEMA: "takes a JSON schema",
    ReplyFormat.OBJECT: "takes JSON mode, no schema",
    ReplyFormat.TEXT: "takes plain text alone",
}


class Finding(NamedTuple):
    """As the command's own findings are."""

    name: str
    state: Literal["ok", "missing", "problem"]
    detail: str
    advice: str = ""


def find_models() -> Iterator[Finding]:
    """One call each, which costs what a few words do."""
    settings, everybodys = get_settings().llm, get_openai_settings()
    for name in _configured(settings):
        found = find_model(name, settings, everybodys)
        if isinstance(found, Failure):
            is_asked_for = name in settings.profiles or "model" in settings.model_fields_set
            state: Literal["missing", "problem"] = "problem" if is_asked_for else "missing"
            has_no_key = found.code is FaultCode.NO_KEY
            yield _tell_no_key(name, state) if has_no_key else _tell_failure(name, found, state)
        else:
            yield _try(name, found)


def _configured(settings: LlmSettings) -> list[str]:
    """All profiles, and the model that is asked where nobody names one."""
    return list(dict.fromkeys([*settings.profiles, settings.model]))


def _try(name: str, model: Model) -> Finding:
    options = model.options.model_copy(
        update={
            "max_tokens": min(MOST_TOKENS, model.options.max_tokens),
            "timeout_s": min(MOST_TIME_S, model.options.timeout_s),
        }
    )
    outcome = ask(replace(model, options=options), QUESTION, threading.Event())
    # It answered, and spent all that it was allowed here on thinking.
    is_thinking = isinstance(outcome, Failure) and outcome.code is FaultCode.CUT_WHILE_THINKING
    if isinstance(outcome, Failure) and not is_thinking:
        return _tell_failure(name, outcome, "problem")
    return _tell_answer(name, model, outcome)


def _tell_no_key(name: str, state: Literal["missing", "problem"]) -> Finding:
    advice = (
        "Set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint that needs none, or a profile of that name, and start"
        " the propose workers again. docs/models.md says how."
    )
    return Finding(f"model {name}", state, "there is no key for it, so that campaigns that ask it would pause", advice)


def _tell_failure(name: str, failure: Failure, state: Literal["missing", "problem"]) -> Finding:
    advice = {
        Consequence.RETRY: "Try again later; docs/models.md says what each failure means.",
        Consequence.PAUSE: "Campaigns would pause with this. docs/models.md says how an endpoint is configured.",
    }
    return Finding(f"model {name}", state, failure.message, advice.get(failure.consequence, "Ask another model."))


def _tell_answer(name: str, model: Model, outcome: Outcome) -> Finding:
    usage = (
        "does not report its usage, so that the most possible is charged"
        if outcome.spent.is_estimated
        else (f"reports its usage ({outcome.spent.tokens_in} and {outcome.spent.tokens_out} tokens)")
    )
    price = "its prices are known" if model.price else "its prices are not known"
    told = f"{model.name} at {model.base_url} answers, {TAKES[find_dialect(model).format]}, {usage}; {price}"
    if model.price:
        return Finding(f"model {name}", "ok", told)
    advice = (
        "Give it a profile with input_usd_per_million and output_usd_per_million: without them no budget in dollars "
        "can be held."
    )
    return Finding(f"model {name}", "ok", told, advice)

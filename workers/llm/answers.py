"""Reads what an endpoint answered: leniently where endpoints differ, and never trusting that it is an answer at all."""

import re
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from discovery_service.domain.token_costs import Spent
from workers.llm.faults import clean, malformed, quote
from workers.llm.models import Model
from workers.llm.outcomes import Consequence, Failure, FaultCode, Outcome, Reply

MAX_MODEL_NAME = 200
_PART = re.compile(r"text|output_text")


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0, le=100_000_000)
    completion_tokens: int = Field(ge=0, le=100_000_000)
    total_tokens: int = Field(default=0, ge=0, le=200_000_000)

    @property
    def tokens_out(self) -> int:
        """Some gateways count what a model thinks in the total alone (router-for-me/CLIProxyAPI#5733)."""
        return max(self.completion_tokens, self.total_tokens - self.prompt_tokens)


class _Message(BaseModel):
    content: Any = None
    refusal: Any = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: Any = None


class _Answer(BaseModel):
    choices: list[_Choice]
    model: Any = None
    usage: Any = None


def read_answer(body: bytes, model: Model, worst: Spent) -> Outcome:
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return malformed(model, worst, f"{where}: {first['msg']}" if where else first["msg"])
    spent = _spent(answer.usage, model, worst, has_said=_has_said(answer))
    if not answer.choices:
        return _no_reply(FaultCode.EMPTY, f"{model.name} gave no reply at all.", spent)
    choice = answer.choices[0]
    text = clean(_text(choice.message.content).replace("\r\n", "\n"))
    if choice.finish_reason == "content_filter":
        return _no_reply(FaultCode.FILTERED, f"A filter of {model.base_url} stopped the reply.", spent)
    if text.strip():
        name = answer.model if isinstance(answer.model, str) and answer.model else model.name
        return Reply(text, clean(name)[:MAX_MODEL_NAME], spent)
    if isinstance(choice.message.refusal, str) and choice.message.refusal:
        said = quote(choice.message.refusal, model)
        return _no_reply(FaultCode.FILTERED, f"{model.name} declines to answer{said}.", spent)
    if choice.finish_reason == "length":
        message = f"{model.name} thought until max_tokens was used up. Give its profile more."
        return _no_reply(FaultCode.CUT_WHILE_THINKING, message, spent)
    return _no_reply(FaultCode.EMPTY, f"The reply of {model.name} is empty.", spent)


def _no_reply(code: FaultCode, message: str, spent: Spent) -> Failure:
    return Failure(code, Consequence.GIVE_UP, message, spent=spent)


def _has_said(answer: _Answer) -> bool:
    return any(_text(choice.message.content).strip() for choice in answer.choices)


def _spent(usage: Any, model: Model, worst: Spent, *, has_said: bool) -> Spent:
    """By the endpoint's own count; where it gives none that can be, as much as it can have been."""
    try:
        counted = _Usage.model_validate(usage)
    except ValidationError:
        return worst
    if has_said and not counted.tokens_out:
        return worst
    return Spent.at(model.price, counted.prompt_tokens, counted.tokens_out)


def _text(content: Any) -> str:
    """A string, or a list of parts of which some are text and others what the model thought."""
    if isinstance(content, list):
        parts = [each for each in content if isinstance(each, dict) and _PART.fullmatch(str(each.get("type")))]
        content = "".join(each["text"] for each in parts if isinstance(each.get("text"), str))
    return content if isinstance(content, str) else ""

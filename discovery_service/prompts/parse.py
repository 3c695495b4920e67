"""From a model's reply to the source of a loss. Whatever the reply, it is a Reply or a ReplyFailure, never an error.

Covered: JSON, fenced JSON, fenced or bare Python, text around it, thinking before it, several proposals.
Not covered: whether the source is one that may be run; that is the static check's to say.
"""

import json
import math
import re
import string
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from discovery_service.prompts.fences import Fence, find_bare_code, find_fences, holds_function
from discovery_service.prompts.functions import list_called, list_defined
from discovery_service.prompts.lenient_json import CutOff, NotJson, read_object
from discovery_service.prompts.thinking import drop_thinking

MAX_CHARACTERS = 500_000
MAX_ATTEMPTS = 50
MAX_REPAIRS = 3
MAX_DEPTH = 3
MAX_NAME = 100
MAX_THOUGHT = 8_000
MAX_PROSE = 20_000
_CODE_KEYS = ("code", "source", "source_code", "python_code", "loss_code", "implementation", "function")
_NAME_KEYS = ("name", "loss_name", "title")
_THOUGHT_KEYS = ("thought", "thoughts", "reasoning", "rationale", "explanation", "description", "idea", "hypothesis")
_VALUE_KEYS = ("values", "hyperparameters", "hyper_parameters", "parameters", "params", "defaults")
_POLICY_INPUT = re.compile(r"\bpolicy_\w*logps\b")
_NUMBER_KEYS = ("value", "default", "initial")
_NUMBER = re.compile(r"[-+]?(?:\d{1,15}\.?\d{0,20}|\.\d{1,20})(?:[eE][-+]?\d{1,3})?")
_OBJECT = re.compile(
    r"""\{(?:\s|//[^\n]*+)*+(?:["'“] ?[A-Za-z_][\w -]{0,40}(?:["'”]\s*+:|\Z)|["'“]?\Z|(?:"""
    + "|".join((*_CODE_KEYS, *_NAME_KEYS, *_THOUGHT_KEYS))
    + r")\s*+:)"
)
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class FailureCode(StrEnum):
    EMPTY_REPLY = "empty_reply"
    NO_CODE = "no_code"
    TRUNCATED = "truncated"
    INVALID_JSON = "invalid_json"


@dataclass(frozen=True)
class Reply:
    name: str
    """In one line; empty where the reply gives none, and the function's name has to do."""
    thought: str
    code: str
    """Untouched as to its characters: what may stand in a source is not decided here."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Hyper-parameters that the reply gives numbers for, beside the source."""
    notes: tuple[str, ...] = ()
    """What was repaired or left aside on the way."""


@dataclass(frozen=True)
class ReplyFailure:
    code: FailureCode
    message: str
    """One sentence that tells the model what to send instead."""


_EMPTY = ReplyFailure(
    FailureCode.EMPTY_REPLY, "The reply is empty: answer with one JSON object that has the keys thought, name and code."
)
_NO_CODE = ReplyFailure(
    FailureCode.NO_CODE,
    "The reply holds no function: answer with one JSON object whose key code holds the Python source of the loss.",
)
_TRUNCATED = ReplyFailure(
    FailureCode.TRUNCATED,
    "The reply ends before the proposal does: think and write less, so that the whole JSON object fits.",
)


def parse_reply(text: str) -> Reply | ReplyFailure:
    text = text[:MAX_CHARACTERS].lstrip(_INVISIBLE).replace("\r\n", "\n")
    answer, is_still_thinking = drop_thinking(text)
    answer = _unquote(answer)
    if not answer.strip(_INVISIBLE + string.whitespace):
        return _TRUNCATED if is_still_thinking else _EMPTY
    search = _Search(answer)
    proposals = search.proposals
    if proposals:
        return _reply(proposals, search)
    if search.failure is not None:
        return search.failure
    bare = find_bare_code(answer)
    if bare is not None:
        return _reply([_Proposal(_named_in(answer, bare), _prose(answer[: answer.find(bare)]), bare, {})], search)
    return _TRUNCATED if is_still_thinking else _NO_CODE


def _unquote(answer: str) -> str:
    """An object that was written as a string once more."""
    if answer.lstrip().startswith('"{'):
        with suppress(ValueError, RecursionError):
            inner = json.loads(answer)
            return inner if isinstance(inner, str) else answer
    return answer


@dataclass(frozen=True)
class _Proposal:
    name: str
    thought: str
    code: str
    values: Mapping[str, float]


class _Search:
    """Reads an answer from its beginning; JSON counts before code in fences, since JSON is what was asked for."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.failure: ReplyFailure | None = None
        self.is_repaired = False
        self.fences = list(find_fences(answer))
        self.spans: list[tuple[int, int]] = []
        self.frame: Mapping[str, Any] = {}
        """An object without a function: what it says is about the code that stands in a fence."""
        self.sketches: list[_Proposal] = []
        """What stands for code in it and is none: the gate says so, unless there is a function elsewhere."""
        self.proposals = [*self._read_objects(), *self._read_blocks()] or self.sketches

    def _read_objects(self) -> Iterator[_Proposal]:
        place = 0
        repairs = MAX_REPAIRS
        for _ in range(MAX_ATTEMPTS):
            opening = _OBJECT.search(self.answer, place)
            if opening is None:
                return
            block = self._find_fence(opening.start())
            if block is not None and block.is_code:
                place = block.end
                continue
            try:
                read = read_object(self.answer, opening.start(), may_repair=repairs > 0)
            except NotJson as error:
                self.failure = self.failure or self._explain(error, opening.start())
                repairs -= 1
                place = opening.end()
                continue
            place = read.end
            self.spans.append((opening.start(), read.end))
            found = list(_proposals_in(read.value))
            proposals = [each for each in found if _has_function(each.code)]
            self.is_repaired = self.is_repaired or bool(found and not read.is_strict)
            if not proposals and not self.frame:
                self.frame, self.sketches = read.value, found
            yield from proposals

    def _find_fence(self, place: int) -> Fence | None:
        return next((fence for fence in self.fences if fence.start < place < fence.end), None)

    def _explain(self, error: NotJson, start: int) -> ReplyFailure:
        fence = self._find_fence(start)
        is_ended = (fence is not None and fence.is_closed) or re.search(r"\}\s*$", self.answer[start:], re.MULTILINE)
        if isinstance(error, CutOff) and not is_ended:
            return _TRUNCATED
        line = self.answer.count("\n", 0, min(error.position, len(self.answer))) + 1
        return ReplyFailure(
            FailureCode.INVALID_JSON,
            f"The JSON object cannot be read ({error}, line {line} of the reply):"
            ' write line breaks within strings as \\n and quotes as \\", and close every string and brace.',
        )

    def _read_blocks(self) -> Iterator[_Proposal]:
        name = _text_of(self.frame, _NAME_KEYS)
        thought = _text_of(self.frame, _THOUGHT_KEYS)
        losses, parts = self._list_blocks()
        for fence in losses or parts:
            before = self.answer[max(0, fence.start - MAX_PROSE) : fence.start]
            yield _Proposal(
                name or _named_in(before, fence.content),
                thought or _prose(before) or _prose(self.answer[fence.end : fence.end + MAX_PROSE]),
                _with_parts(fence.content, [part.content for part in parts if part is not fence]),
                _values_of(self.frame),
            )

    def _list_blocks(self) -> tuple[list[Fence], list[Fence]]:
        """Those that could be a loss, and those that could be a part of one."""
        losses, parts = [], []
        blocks = [fence for fence in self.fences if fence.is_code]
        for fence in blocks[:MAX_ATTEMPTS]:
            if any(start < fence.start < end for start, end in self.spans):
                continue
            if not fence.is_closed:
                self.failure = self.failure or _TRUNCATED
            elif _POLICY_INPUT.search(fence.content):
                losses.append(fence)
            else:
                parts.append(fence)
        return losses, parts


def _with_parts(code: str, parts: list[str]) -> str:
    """With the functions from other blocks that it calls, and those that these call."""
    called = list_called(code) - list_defined(code)
    part = next((each for each in parts if not called.isdisjoint(list_defined(each))), None)
    return code if part is None else _with_parts(f"{part}\n\n{code}", [each for each in parts if each is not part])


def _reply(proposals: list[_Proposal], search: _Search) -> Reply:
    first, *others = proposals
    code, notes = _plain_code(first.code)
    if search.is_repaired:
        notes.append("The JSON was not valid and was repaired.")
    if search.failure is not None:
        notes.append(f"Something in the reply could not be read and was left aside ({search.failure.code}).")
    different = [other for other in others if _plain_code(other.code)[0] != code]
    if different:
        names = ", ".join(other.name or "one without a name" for other in different)
        notes.append(f"The reply holds several proposals; the first one counts, left aside: {_clean(names, 300)}.")
    name = " ".join(_clean(first.name, MAX_NAME).split())
    return Reply(name, _clean(first.thought, MAX_THOUGHT), code, first.values, tuple(notes))


def _proposals_in(value: Any, depth: int = 0) -> Iterator[_Proposal]:
    """An object with code in it, or objects within this one that have it."""
    if isinstance(value, dict):
        code = _code_of(value)
        if code.strip():
            yield _Proposal(_text_of(value, _NAME_KEYS), _text_of(value, _THOUGHT_KEYS), code, _values_of(value))
            return
        value = list(value.values())
    if isinstance(value, str) and _is_object(value) and "def " in value:
        # The arguments of a call that nobody made.
        value = _read_text(value)
    if isinstance(value, list) and depth < MAX_DEPTH:
        for each in value:
            yield from _proposals_in(each, depth + 1)


def _read_text(text: str) -> list[Any]:
    try:
        return [read_object(text, text.index("{")).value]
    except (NotJson, ValueError):
        return []


def _code_of(found: Mapping[str, Any], depth: int = 0) -> str:
    """Under the key that was asked for, or under whichever one there is a function."""
    lowered = _lowered(found)
    inner = next((lowered[key] for key in _CODE_KEYS if isinstance(lowered.get(key), dict)), None)
    if inner is not None and depth < MAX_DEPTH:
        return _code_of(inner, depth + 1)
    code = _text_of(found, _CODE_KEYS)
    if _has_function(code):
        return code
    others = (_as_text(value) for key, value in lowered.items() if key not in (*_THOUGHT_KEYS, *_NAME_KEYS))
    return next((text for text in others if holds_function(text) and not _is_object(text)), code)


def _has_function(code: str) -> bool:
    return holds_function(_plain_code(code)[0])


def _is_object(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def _text_of(found: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """The first of the keys that holds text."""
    lowered = _lowered(found)
    texts = (_as_text(lowered.get(key)) for key in keys)
    return next((text for text in texts if text.strip()), "")


def _lowered(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key.strip().lower(): value for key, value in found.items()}


def _as_text(value: Any) -> str:
    """Text may come as a list of lines."""
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        return "\n".join(line.rstrip("\n") for line in value)
    return value if isinstance(value, str) else ""


def _values_of(found: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name, as an object or as a list of objects with a name and a value each."""
    lowered = _lowered(found)
    for key in _VALUE_KEYS:
        value = lowered.get(key)
        if isinstance(value, list):
            named = (each for each in value if isinstance(each, dict))
            value = {each["name"]: each for each in named if isinstance(each.get("name"), str)}
        if isinstance(value, dict):
            numbers = {name: _as_number(number) for name, number in value.items() if _is_parameter(name)}
            if values := {name: number for name, number in numbers.items() if number is not None}:
                return values
    return {}


def _is_parameter(name: object) -> bool:
    """No function has another one; and what is no name, a database may refuse to hold."""
    return isinstance(name, str) and name.isidentifier()


def _as_number(value: Any) -> float | None:
    """As a number, as text, or as what an object says of it."""
    if isinstance(value, dict):
        value = next((value[key] for key in _NUMBER_KEYS if key in value), None)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
    return value if is_number else None


def _plain_code(code: str) -> tuple[str, list[str]]:
    """Code out of a fence within the string, and with line breaks where they were escaped twice."""
    notes = []
    fence: Fence | None = next((each for each in find_fences(code) if each.is_code), None)
    if fence is not None:
        code = fence.content
    if "\n" not in code.strip() and "\\n" in code:
        code = code.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
        notes.append("Line breaks in the code were escaped twice and were restored.")
    return code.strip("\n") + "\n", notes


def _named_in(prose: str, code: str) -> str:
    """A name that the text gives, if a function in the code has it."""
    functions = list_defined(code)
    given = re.findall(r"(?i)\bname\b\W{1,12}([A-Za-z_]\w{0,99})", prose)
    return next((name for name in given if name in functions), "")


def _prose(text: str) -> str:
    return re.sub(r"(?i)^\W*thoughts?\b\W*", "", text.strip()) if not holds_function(text) else ""


def _clean(text: str, length: int) -> str:
    """Text that any database and any page can hold."""
    return _UNPRINTABLE.sub("\ufffd", text.strip())[:length]

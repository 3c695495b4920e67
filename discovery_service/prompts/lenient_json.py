"""JSON objects as language models write them: strict where it can be, lenient where one reading is likely meant.

Covered: raw line breaks in strings, quotes in strings that nothing escapes, triple, single and typographic quotes,
backticks, trailing and missing commas, bare keys, unknown escapes, comments behind `//`. Not covered: expressions,
joined strings.
"""

import json
import re
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any

MAX_DEPTH = 16
_STRICT = JSONDecoder(strict=False)
_GAP = r"(?:\s|//[^\n]*+)*+"
_SPACE = re.compile(_GAP)
_KEY = r"""(?:"[A-Za-z_][\w -]{0,40}"|'[A-Za-z_][\w -]{0,40}'|“[A-Za-z_][\w -]{0,40}”|[A-Za-z_]\w{0,40})\s*+:"""
_BARE_KEY = re.compile(r"[A-Za-z_]\w{0,40}")
# What comes behind the quote that ends a string: the next key, the end of what holds it, or the end of it all.
_AFTER_VALUE = re.compile(rf"{_GAP}(?:,?{_GAP}(?:{_KEY}|[}}\]])|,?{_GAP}\Z)")
_AFTER_ELEMENT = re.compile(rf"""{_GAP}(?:,{_GAP}["'“\]]|\]|\Z)""")
_AFTER_KEY = re.compile(r"\s*+:")
_NUMBER_OR_WORD = re.compile(r"-?(?:\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+)|[A-Za-z]+")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_QUOTES = ('"""', "'''", '"', "'", "`", "“")
_CLOSING = {"“": "”"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


class NotJson(Exception):
    """The text does not go on as JSON; `position` says where."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.position = position


class CutOff(NotJson):
    """The text ends within the object."""


@dataclass(frozen=True)
class Read:
    value: Any
    end: int
    is_strict: bool


def read_object(text: str, start: int, *, may_repair: bool = True) -> Read:
    """The object that begins at `start`; raises NotJson or CutOff."""
    try:
        value, end = _STRICT.raw_decode(text, start)
        return Read(value, end, is_strict=True)
    except json.JSONDecodeError as error:
        if not may_repair:
            raise NotJson(error.msg.lower(), error.pos) from None
    except (ValueError, RecursionError):
        raise NotJson("a number is too long or the nesting too deep", start) from None
    reader = _Reader(text, start)
    value = reader.read_value(_AFTER_VALUE, 0)
    return Read(value, reader.place, is_strict=False)


class _Reader:
    def __init__(self, text: str, place: int) -> None:
        self.text = text
        self.place = place

    def read_value(self, after: re.Pattern[str], depth: int) -> Any:
        self._skip_space()
        if depth > MAX_DEPTH:
            raise NotJson("it is nested too deeply", self.place)
        if self.text.startswith("{", self.place):
            return self._read_mapping(depth)
        if self.text.startswith("[", self.place):
            return self._read_list(depth)
        if self.text.startswith(_QUOTES, self.place):
            return self._read_string(after)
        return self._read_number_or_word()

    def _read_mapping(self, depth: int) -> dict[str, Any]:
        self.place += 1
        found: dict[str, Any] = {}
        while not self._takes("}"):
            key = self._read_key()
            if not self._takes(":"):
                raise NotJson("a colon is missing behind a key", self.place)
            found[key] = self.read_value(_AFTER_VALUE, depth + 1)
            self._takes(",")
        return found

    def _read_list(self, depth: int) -> list[Any]:
        self.place += 1
        found: list[Any] = []
        while not self._takes("]"):
            found.append(self.read_value(_AFTER_ELEMENT, depth + 1))
            self._takes(",")
        return found

    def _read_key(self) -> str:
        if self.text.startswith(_QUOTES, self.place):
            return self._read_string(_AFTER_KEY)
        bare = _BARE_KEY.match(self.text, self.place)
        if bare is None:
            raise NotJson("a key is missing", self.place)
        self.place = bare.end()
        return bare.group()

    def _read_string(self, after: re.Pattern[str]) -> str:
        opening = next(each for each in _QUOTES if self.text.startswith(each, self.place))
        start = self.place = self.place + len(opening)
        quote = _CLOSING.get(opening, opening)
        for found in re.compile(rf"\\.|{quote}", re.DOTALL).finditer(self.text, start):
            if found.group() == quote and (len(quote) == 3 or after.match(self.text, found.end())):
                self.place = found.end()
                return _join_surrogates(_ESCAPE.sub(_unescape, self.text[start : found.start()]))
        raise CutOff("a string has no end", len(self.text))

    def _read_number_or_word(self) -> Any:
        found = _NUMBER_OR_WORD.match(self.text, self.place)
        if found is None:
            raise NotJson("a value is missing", self.place)
        self.place = found.end()
        if found.group() in _WORDS:
            return _WORDS[found.group()]
        try:
            return json.loads(found.group())
        except ValueError:
            raise NotJson("a value is neither a string nor a number", found.start()) from None

    def _takes(self, character: str) -> bool:
        self._skip_space()
        is_there = self.text.startswith(character, self.place)
        self.place += is_there
        return is_there

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.place)
        self.place = space.end() if space else self.place
        if self.place == len(self.text):
            raise CutOff("the object has no end", self.place)


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] == "u" and len(code) == 5:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, code if code in "\"'\\/`" else "\\" + code)


def _join_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

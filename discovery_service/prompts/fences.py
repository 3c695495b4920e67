"""Fenced blocks of Markdown in a reply, and code that stands in it without a fence."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

# Possessive, or a line of 40,000 spaces would take ten seconds.
_FENCE = re.compile(r"^([ \t>]*+)(`{3,}+|~{3,}+)[^\n`]*+$", re.MULTILINE)
_QUOTED = re.compile(r"^[ \t]*+>[ \t]?", re.MULTILINE)
_HAS_FUNCTION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(", re.MULTILINE)
_STARTS_CODE = re.compile(r"(?:def \w+\s*\(|import (?:torch|math)\b|from (?:torch|math)[\w.]* import |@\w)")
_GOES_ON = re.compile(r"(?:def \w+\s*\(|import \w|from [\w.]+ import |@\w|[ \t)#]|[A-Z_]+ = |$)")


@dataclass(frozen=True)
class Fence:
    start: int
    """Where the opening line begins."""
    content: str
    end: int
    is_closed: bool
    is_code: bool


def holds_function(text: str) -> bool:
    return _HAS_FUNCTION.search(text) is not None


def find_fences(text: str) -> Iterator[Fence]:
    place = 0
    while opening := _FENCE.search(text, place):
        margin, mark = opening.groups()
        closing = re.compile(rf"^[ \t>]*+{mark[0]}{{{len(mark)},}}+[ \t]*+$", re.MULTILINE).search(text, opening.end())
        inside = min(opening.end() + 1, len(text))
        stop = closing.start() if closing else len(text)
        place = closing.end() if closing else len(text)
        content = text[inside:stop]
        if ">" in margin:
            content = _QUOTED.sub("", content)
        content = textwrap.dedent(content).strip("\n")
        is_code = holds_function(content) and not content.lstrip().startswith(("{", "["))
        yield Fence(opening.start(), content, place, closing is not None, is_code)


def find_bare_code(text: str) -> str | None:
    """Functions that begin at the left margin, up to the first line that is no code."""
    lines = text.splitlines()
    start = next((place for place, line in enumerate(lines) if _STARTS_CODE.match(line)), None)
    if start is None:
        return None
    stop = next((place for place in range(start, len(lines)) if not _GOES_ON.match(lines[place])), len(lines))
    code = "\n".join(lines[start:stop]).strip("\n")
    return code if holds_function(code) else None

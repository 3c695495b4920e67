"""The functions of a source, by its text alone: what it defines and calls, before anybody knows if it is Python."""

import re
from collections import Counter

_DEFINED = re.compile(r"\bdef\s+([A-Za-z_]\w*)")
_CALLED = re.compile(r"\b([A-Za-z_]\w*+)\s*+\(")
_AT_A_MARGIN = re.compile(r"^([ \t]*+)def[ \t]+([A-Za-z_]\w{0,99})", re.MULTILINE)


def list_defined(code: str) -> set[str]:
    return set(_DEFINED.findall(code))


def list_called(code: str) -> set[str]:
    """What is defined counts as called."""
    return set(_CALLED.findall(code))


def find_last(code: str) -> str | None:
    """The last function that no other one calls, as the gate takes it where a reply names none."""
    found = _AT_A_MARGIN.findall(code)
    margin = min((margin for margin, _ in found), key=len, default="")
    functions = [name for indented, name in found if indented == margin]
    # Once where it is defined.
    counts = Counter(_CALLED.findall(code))
    free = [name for name in functions if counts[name] == 1]
    return next(reversed(free or functions), None)

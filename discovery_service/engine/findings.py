"""What a replay found: how much it derived again, and where something else is stored."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import ndiff
from enum import Enum, StrEnum
from itertools import zip_longest
from typing import Any, NamedTuple

_EXACT = 2**53
"""Beyond it the database writes a float as an integer that Python reads exactly."""


class What(StrEnum):
    """In the order in which a campaign makes them."""

    LIBRARY = "library"
    SNAPSHOT = "snapshot"
    REQUEST = "request"
    PROMPT = "prompt"
    REPLY = "reply"
    """Of the symbolic proposer: nobody else says the same twice."""
    CANDIDATE = "candidate"
    PROPOSAL = "proposal"
    HALVING = "halving"
    TRAININGS = "trainings"
    FREEZE = "freeze"
    STANDING = "standing"


class Leaf(NamedTuple):
    """The smallest part that differs: a number, a name, or a line of a text."""

    path: str
    stored: Any
    derived: Any


@dataclass(frozen=True)
class Difference:
    what: What
    where: str
    stored: Any
    derived: Any

    def list_leaves(self) -> list[Leaf]:
        return list(_compare("", self.stored, self.derived))


@dataclass
class Findings:
    derived: Counter[What] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be derived again, and why."""

    def compare(self, what: What, where: str, stored: Any, derived: Any) -> None:
        """Numbers by their value, however they are written."""
        self.derived[what] += 1
        was, now = _plain(stored), _plain(derived)
        if was != now:
            self.differences.append(Difference(what, where, was, now))

    def note(self, sentence: str) -> None:
        """Once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def _plain(value: Any) -> Any:
    """As it comes back from JSON."""
    match value:
        case None | bool():
            return value
        case Enum():
            return value.value
        case str():
            return value
        case int() | float():
            return float(value) if value > _EXACT or value < -_EXACT else value
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
        case Sequence():
            return [_plain(each) for each in value]
    return str(value)


def _compare(path: str, stored: Any, derived: Any) -> Iterator[Leaf]:
    match stored, derived:
        case dict(), dict():
            for name in [*stored, *(each for each in derived if each not in stored)]:
                yield from _compare(f"{path}.{name}".lstrip("."), stored.get(name), derived.get(name))
        case list(), list():
            for place, (was, now) in enumerate(zip_longest(stored, derived)):
                yield from _compare(f"{path}[{place}]", was, now)
        case str(), str() if "\n" in stored + derived:
            yield from _compare_lines(path, stored, derived)
        case _ if stored != derived:
            yield Leaf(path, stored, derived)


def _compare_lines(path: str, stored: str, derived: str) -> Iterator[Leaf]:
    lines = list(ndiff(stored.splitlines(), derived.splitlines()))
    was = [line[2:] for line in lines if line.startswith("- ")]
    now = [line[2:] for line in lines if line.startswith("+ ")]
    for before, after in zip_longest(was, now):
        yield Leaf(path, before, after)

"""A gate for reproductions; each paper's quick run is one fixture of its module."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from workers.gate.process import make_jail
from workers.reproduce.arms import Admission
from workers.reproduce.names import PaperName
from workers.reproduce.papers import PAPERS
from workers.reproduce.run import Run

Told = Mapping[str, Any]
"""A claim's document."""
Quickly = Callable[[PaperName], list[Told]]


@pytest.fixture(scope="session")
def admission() -> Iterator[Admission]:
    with make_jail() as jail:
        yield Admission(jail)


@pytest.fixture(scope="session")
def quickly(admission: Admission) -> Quickly:
    """The claims of a paper, on three seeds against halved lines."""
    return lambda paper: [each.document() for each in PAPERS[paper].reproduce(Run(admission, is_quick=True))]


def find(claims: list[Told], words: str) -> Told:
    (found,) = [each for each in claims if words in each["claim"]]
    return found

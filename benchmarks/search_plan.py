"""Which campaigns the benchmark of the search is made of, as specs, and under which key the outcome of each is kept."""

import ast
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.bank_plan import DPO, PROPOSED
from benchmarks.planted import PLANTED, find_source
from benchmarks.trainings import describe_build, get_document
from discovery_service.domain.arenas import hash_document
from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.published import find_calibration

LEFT_OUT = "length_dpo"
"""R-DPO, the form of what is planted in `terse`. No other known loss is what is planted anywhere."""
LIBRARY = [name for name in KNOWN_LOSSES[Family.PAIRWISE] if name != LEFT_OUT]
COMPARED_ARENAS = ("terse:mini", "panel:mini", "plain:mini", "terse-strong:mini", "panel-inverted:mini")
"""The last two are variants of the planted ones."""
OUTCOME_ARENAS = ("terse:mini", "plain:mini")
STRATEGIES = tuple(StrategyName)
SEEDS = 8
OUTCOMES = 10
SLOTS = 2


class Part(StrEnum):
    SLOTS = "slots"
    """One campaign of 30 candidates, to see what its slots do."""
    OUTCOMES = "outcomes"
    """Ten campaigns of 40 where something is to be found, and ten where nothing is."""
    PLACEBO = "placebo"
    """Candidates are given, and all are DPO with pairs, labels and order of their own."""
    PLANTED = "planted"
    """Candidates are given: the arena's winner, and losses that the library lacks."""
    STRATEGIES = "strategies"
    """Each strategy in each arena with the same seeds."""


CANDIDATES = {Part.SLOTS: 30, Part.OUTCOMES: 40, Part.STRATEGIES: 20, Part.PLACEBO: 12, Part.PLANTED: 7}
BY_HAND = {Part.PLACEBO: ("terse:mini", "plain:mini"), Part.PLANTED: ("terse:mini", "panel:mini")}
BY_HAND_SEEDS = 2
ENGINE = 1
"""Of the lines that are there, measured with versions up to commit 2d8e0a3. Raised by whoever measures anew after the
engine or the gate has come to decide otherwise: which rounds are seen, whom twins are, who stops. What has changed
since, and how little of it these campaigns would show, docs/search.md says."""


class Given(NamedTuple):
    """A candidate that nobody has to propose."""

    name: str
    source: str
    salt: str = ""


@dataclass(frozen=True)
class Case:
    """One campaign."""

    part: Part
    arena: str
    strategy: StrategyName
    seed: int

    @property
    def spec(self) -> dict[str, Any]:
        """What decides its course is said here and not left to defaults: it is what a line is kept under."""
        return {
            "arena": self.arena,
            "library": [DPO] if self.given else LIBRARY,
            "strategy": {"name": self.strategy.value, "round_size": 4, "max_open_rounds": 2},
            "proposers": [{"kind": "symbolic"}],
            "tuning": {"screen_draws": 3},
            # The campaigns that are drawn anew from the bank have 12 draws in every arena.
            "confirmation": {"finalists": 3, "detect": 10.0 if self.given else 0.2, "min_draws": 12},
            "budgets": {"candidates": CANDIDATES[self.part]},
            "seed": self.seed,
        }

    @property
    def given(self) -> list[Given]:
        """Its candidates, where they are not to be found by a search."""
        if self.part is Part.PLACEBO:
            source = find_source(self.arena, DPO)
            return [Given(f"copy {number}", source, f"copy {number}") for number in range(CANDIDATES[self.part])]
        if self.part is Part.PLANTED:
            return [Given(name, find_source(self.arena, name)) for name in (PLANTED, *PROPOSED)]
        return []

    @property
    def key(self) -> dict[str, Any]:
        """By what is asked for and by what answers, so that no two versions are averaged."""
        asked = _hash({"spec": self.spec, "given": self.given})
        return {
            "spec": asked,
            "code": hash_code(),
            "engine": ENGINE,
            "arena": _hash_arena(self.arena),
            "build": _describe_build(),
        }

    @property
    def name(self) -> str:
        """Of its campaign, by which one is found again that an earlier run has begun."""
        return f"benchmark {self} {_hash(self.key)[:12]}"

    def __str__(self) -> str:
        return f"{self.part} {self.arena} {self.strategy} {self.seed}"


def list_cases() -> Iterator[Case]:
    """A seed after the other, so that what is there after an hour is of all strategies and arenas."""
    yield Case(Part.SLOTS, "panel:mini", StrategyName.EVOLVE, 0)
    for seed in range(1, OUTCOMES + 1):
        for arena in OUTCOME_ARENAS:
            yield Case(Part.OUTCOMES, arena, StrategyName.EVOLVE, seed)
    for part, arenas in BY_HAND.items():
        for seed in range(1, BY_HAND_SEEDS + 1):
            yield from (Case(part, arena, StrategyName.EVOLVE, seed) for arena in arenas)
    for seed in range(1, SEEDS + 1):
        for arena in COMPARED_ARENAS:
            for strategy in STRATEGIES:
                yield Case(Part.STRATEGIES, arena, strategy, seed)


@cache
def _hash_arena(name: str) -> str:
    """Of what it is made of and what is published of it: with other shipped settings DPO is another reference."""
    content = hash_document(get_document(name))
    return _hash({"content": content, "published": find_calibration(content)})


def _hash(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@cache
def _describe_build() -> dict[str, Any]:
    """What trains. On another processor a campaign takes another course, one more of the same search."""
    build = describe_build()
    return {name: build[name] for name in ("torch", "transformers", "trainer")}


_ROOT = Path(__file__).parent.parent
_DOMAIN = (
    *("allotment", "archive", "arenas", "budget", "chance", "confirming", "differences", "freezing", "halving"),
    *("intervals", "measuring", "metrics", "power", "proposals", "requests", "screening", "shares", "stages"),
    *("standings", "stopping", "tuning", "tuning_plans", "verdicts", "worlds"),
)
_DECIDE = (
    *("discovery_service/search", "workers/symbolic"),
    *(f"discovery_service/domain/{name}.py" for name in _DOMAIN),
)
"""What decides which losses are proposed and what is concluded of them. The engine writes down what these say."""
_SAME_FOR_PAIRS = {
    # Whose reference a loss may be is asked of the names of all families; of pairs it is DPO as before.
    "57a630b7fff52bb7": "17bf4c4869ad3bfe",
}
"""Code that is written otherwise and does the same with pairs, by the code under which its lines are kept."""


@cache
def hash_code() -> str:
    """Of what they say to the machine: another docstring or comment is no other search."""
    digest = hashlib.sha256()
    for path in _list_files():
        digest.update(_strip(path.read_text(encoding="utf-8")).encode())
    written = digest.hexdigest()[:16]
    return _SAME_FOR_PAIRS.get(written, written)


def _list_files() -> Iterator[Path]:
    for name in _DECIDE:
        path = _ROOT / name
        if not path.exists():
            raise FileNotFoundError(f"{path} is no more: name in _DECIDE what has taken its place.")
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _strip(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )

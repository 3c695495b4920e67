"""What a proposer is told of an arena leaves to be found what was planted in it."""

import re
from dataclasses import asdict, replace
from typing import Any

import pytest

from discovery_service.domain.arenas import ARENAS, ArenaSpec, arena_names, find_document
from discovery_service.domain.arenas_in_words import tell_arena, tell_tuning
from discovery_service.domain.families import Family
from discovery_service.domain.metrics import MEANINGS
from discovery_service.domain.standings import SHOWN
from discovery_service.domain.user_arenas import EXAMPLE, EXAMPLE_CONTENTS, Contents, UserArena, make_document
from discovery_service.domain.worlds import RECIPES, ArenaSize, World

SEEN = {
    frozenset({"plain", "terse", "terse-strong"}),
    frozenset({"flips", "fog", "fog-dense", "fluent", "fluent-strong"}),
    frozenset({"panel", "panel-inverted", "panel-diluted"}),
    frozenset({"shift"}),
    frozenset({"crowd", "crowd-skewed", "crowd-alike"}),
    frozenset({"guardrail", "guardrail-opposed", "guardrail-mild"}),
    frozenset({"outcome", "outcome-confounded", "outcome-misjudged"}),
    frozenset({"plurality", "plurality-littered"}),
}
"""Arenas that differ in nothing that a loss is given or measured on: controls among what they control."""
PLANTED = ("sharpness", "length_bias", "fluency_bias", "fog", "flip", "sloppy_flip")
OPEN = {"sharpness", "sloppy_flip", "violation_cost", "temperature", "junk_mass"}
"""What a world has in common with its control, or a loss is told."""
TELLING = (
    "coin",
    "short",
    "terse",
    "brief",
    "likely",
    "fluen",
    "fog",
    "flip",
    "sloppy",
    "invert",
    "careless",
)


def _told(arena: ArenaSpec, size: ArenaSize = ArenaSize.MINI) -> str:
    document = arena.document(size)
    return "\n".join([*tell_arena(document), tell_tuning(document)])


def test_planted_arenas_are_told_in_the_words_of_their_control() -> None:
    told: dict[str, set[str]] = {}
    for name, arena in ARENAS.items():
        told.setdefault(_told(arena), set()).add(name)
    assert {frozenset(names) for names in told.values()} == SEEN


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("arena", [each for each in ARENAS.values() if isinstance(each.world, World)])
def test_nothing_depends_on_how_labels_come_about(arena: ArenaSpec, name: str) -> None:
    other = replace(arena, world=replace(arena.world, **{name: getattr(arena.world, name) * 1.7 + 0.123}))
    assert _told(other) == _told(arena)


def test_whose_labels_are_how_many_is_not_told() -> None:
    panel = ARENAS["panel"]
    assert _told(replace(panel, world=replace(panel.world, sloppy=0.1))) == _told(panel)


@pytest.mark.parametrize("name", arena_names())
def test_no_planted_number_and_no_telling_word_is_said(name: str) -> None:
    arena = ARENAS[name.partition(":")[0]]
    told = "\n".join(tell_arena(find_document(name) or {}))
    hidden = {name: value for name, value in asdict(arena.world).items() if name not in OPEN}
    planted = {abs(value) for value in hidden.values() if isinstance(value, float) and value}
    numbers = {abs(float(each.replace(",", ""))) for each in re.findall(r"\d[\d,]*(?:\.\d+)?", told)}
    # A whole number says nothing: every text has a 1 somewhere.
    assert not {value for value in planted if value % 1} & numbers
    words = set(re.findall(r"[a-z-]+", told.lower()))
    assert [word for word in words for telling in TELLING if telling in word] == []
    # Of the arena outcome nothing could be told otherwise: its family's inputs are named so.
    assert arena.name not in told or arena.name == Family.OUTCOME


def test_what_can_be_seen_is_told() -> None:
    assert "Two annotators" in _told(ARENAS["panel"])
    assert "`annotator` is 0 in every row." in _told(ARENAS["plain"])
    assert "Every answer has 20 tokens." in _told(ARENAS["flips"])
    assert "from the middle of texts" in _told(ARENAS["shift"])
    recipe = RECIPES[ArenaSize.BASE]
    assert f"{recipe.batch} rows out of {recipe.pairs:,}" in _told(ARENAS["plain"], ArenaSize.BASE)


def test_the_settings_that_are_told_are_those_of_the_plan() -> None:
    told = tell_tuning(find_document("panel:mini") or {})
    assert "11 trainings" in told
    assert "beta at 0.25, 1 and 4" in told
    assert "a learning rate of 0.0015 or 0.0005 and 120 steps" in told
    assert "60, 120 or 240 steps" in told


def _own(**fields: Any) -> dict[str, Any]:
    return make_document(UserArena(**(EXAMPLE | fields)), Contents(**EXAMPLE_CONTENTS))


def test_an_operators_arena_is_told_without_names_paths_and_scorer() -> None:
    told = "\n".join(tell_arena(_own()))
    assert "a LoRA adapter of rank 16 is trained" in told
    assert "A draw holds out 10 % of the rows" in told
    assert "up to 64 of the held-out prompts" in told
    assert "compared by score" in told
    for secret in ("/srv", "small-chat", "support", "my_package", "politeness"):
        assert secret not in told


def test_without_a_scorer_nothing_is_said_of_scores() -> None:
    plan = {"held_out": 0.25, "prompts": 64, "max_new_tokens": 64}
    document = make_document(
        UserArena(**(EXAMPLE | {"evaluation": plan, "counts": "accuracy"})),
        Contents(**(EXAMPLE_CONTENTS | {"scorer_sha256": None})),
    )
    told = "\n".join(tell_arena(document))
    assert "score" not in told
    assert "A draw holds out 25 % of the rows" in told


def test_every_arena_can_be_told_and_every_figure_of_a_standing_has_a_meaning() -> None:
    assert all(tell_arena(find_document(name) or {}) for name in arena_names())
    assert set(SHOWN) <= MEANINGS.keys()

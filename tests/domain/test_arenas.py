from dataclasses import asdict

import pytest

from discovery_service.domain.arenas import (
    ARENAS,
    arena_names,
    find_arena,
    find_document,
    hash_document,
    list_base_policies,
)
from discovery_service.domain.families import Family
from discovery_service.domain.worlds import ArenaSize

CONTROLS = {"plain", "flips", "crowd-alike"}
PLANTED = {"terse", "panel", "fog", "fluent", "crowd", "guardrail", "outcome", "plurality"}
VARIANTS = {
    *("terse-strong", "panel-inverted", "panel-diluted", "fog-dense", "fluent-strong", "crowd-skewed"),
    *("guardrail-opposed", "guardrail-mild", "outcome-confounded", "outcome-misjudged", "plurality-littered"),
}


def test_the_built_in_arenas_stand() -> None:
    assert set(ARENAS) == CONTROLS | PLANTED | VARIANTS | {"shift"}


def test_arenas_of_before_are_still_the_same_ones() -> None:
    """What was measured and published of them stands by these."""
    assert hash_document(find_document("plain:mini") or {}).startswith("43a333f3eb83")
    assert hash_document(find_document("panel:base") or {}).startswith("6245309f283a")


def test_every_name_that_is_offered_is_found_and_no_size_that_is_not() -> None:
    assert all(find_arena(name) is ARENAS[name.partition(":")[0]] for name in arena_names())
    sizes = {name.partition(":")[0]: set(arena.recipes) for name, arena in ARENAS.items()}
    assert sizes["plain"] == set(ArenaSize)
    assert sizes["outcome"] == {ArenaSize.MINI}
    assert find_arena("outcome:base") is None


@pytest.mark.parametrize("name", ["plain", "plain:", "plain:huge", "nowhere:mini", ":mini", "", "plain:mini:mini"])
def test_anything_else_names_no_arena(name: str) -> None:
    assert find_arena(name) is None
    assert find_document(name) is None


def test_only_the_controls_offer_no_way_to_beat_the_reference() -> None:
    assert {name for name, arena in ARENAS.items() if arena.is_control} == CONTROLS


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_variant_differs_from_its_arena_by_one_number(name: str) -> None:
    variant, planted = (asdict(ARENAS[each].world) for each in (name, name.partition("-")[0]))
    assert len(variant.items() - planted.items()) == 1
    assert set(ARENAS[name].offers) >= set(ARENAS[name.partition("-")[0]].offers)


def test_no_two_arenas_are_the_same_and_another_number_is_another_arena() -> None:
    hashes = {hash_document(find_document(name) or {}) for name in arena_names()}
    assert len(hashes) == len(arena_names())
    document = ARENAS["plain"].document(ArenaSize.MINI)
    assert hash_document({**document, "recipe": {**document["recipe"], "pairs": 1025}}) not in hashes


def test_a_family_is_offered_only_its_own_arenas() -> None:
    offered = [name for family in Family for name in arena_names(family)]
    assert sorted(offered) == sorted(arena_names())
    assert arena_names(Family.MATCHING) == ["plurality:mini", "plurality-littered:mini"]


def test_a_built_in_arena_has_three_base_policies_and_an_operators_one_for_each_model() -> None:
    built_in = find_document("plain:mini")
    assert built_in is not None
    assert list_base_policies(built_in) == (0, 1, 2)
    assert list_base_policies({"kind": "hf", "models": [{"path": "/a"}, {"path": "/b"}]}) == (0, 1)

import pytest

from discovery_service.domain.arenas import ARENAS, arena_names, find_arena
from discovery_service.domain.families import Family


def test_the_built_in_arenas_stand() -> None:
    assert set(ARENAS) == {"plain", "flips", "terse", "panel", "fog", "fluent"}


def test_every_name_that_is_offered_is_found_in_two_sizes() -> None:
    assert len(arena_names()) == 2 * len(ARENAS)
    assert all(find_arena(name) is ARENAS[name.partition(":")[0]] for name in arena_names())


@pytest.mark.parametrize("name", ["plain", "plain:", "plain:huge", "nowhere:mini", ":mini", "", "plain:mini:mini"])
def test_anything_else_names_no_arena(name: str) -> None:
    assert find_arena(name) is None


def test_only_the_controls_offer_no_way_to_beat_dpo() -> None:
    assert {name for name, arena in ARENAS.items() if arena.is_control} == {"plain", "flips"}


def test_a_family_is_offered_only_its_own_arenas() -> None:
    assert arena_names(Family.PAIRWISE) == arena_names()
    assert arena_names(Family.MATCHING) == []

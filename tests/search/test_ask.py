from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery_service.domain.archive import Archive, Place, Refused
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Strategy, StrategyName
from discovery_service.domain.requests import Kind, Request
from discovery_service.search.ask import ask, show
from tests.search.archives import archives, make_archive, make_library, make_member

NAMES = st.sampled_from(StrategyName)
PARENTS = {Kind.FRESH: 0, Kind.IMPROVE: 1, Kind.COMBINE: 2}


def ask_as(name: StrategyName, archive: Archive, seed: int = 0, round_index: int = 1, slot: int = 0) -> Request:
    return ask(Strategy(name=name), archive, seed=seed, round_index=round_index, slot=slot)


@given(NAMES, archives(), st.randoms(use_true_random=False), st.integers(0, 99), st.integers(1, 9), st.integers(0, 5))
@settings(max_examples=150)
def test_asks_the_same_whatever_the_order_of_rows(name, archive, shuffler, seed, round_index, slot):
    members = list(archive.members)
    shuffler.shuffle(members)
    shuffled = replace(archive, members=tuple(members))
    assert ask_as(name, archive, seed, round_index, slot) == ask_as(name, shuffled, seed, round_index, slot)


@given(NAMES, archives(), st.integers(0, 99), st.integers(0, 3))
@settings(max_examples=150)
def test_asks_only_for_what_is_there_each_once_and_as_many_parents_as_the_kind_has(name, archive, seed, slot):
    request = ask_as(name, archive, seed, slot=slot)
    named = [*request.parents, *request.inspirations]
    assert set(named) <= {each.place for each in archive.members}
    assert len(set(named)) == len(named)
    assert len(request.parents) == PARENTS[request.kind]


@given(archives(), st.integers(0, 99), st.integers(0, 3))
@settings(max_examples=100)
def test_a_request_is_read_as_it_was_written(archive, seed, slot):
    request = ask_as(StrategyName.EVOLVE, archive, seed, slot=slot)
    assert Request.of(request.document()) == request


@pytest.mark.parametrize("name", StrategyName)
def test_nothing_to_start_from_asks_for_something_fresh(name):
    assert ask_as(name, Archive((), ())) == Request(Kind.FRESH)


@given(st.integers(0, 99), st.integers(1, 20))
@settings(max_examples=50)
def test_one_of_the_four_of_each_round_is_fresh_one_combines_and_two_improve(seed, round_index):
    archive = make_archive(*make_library())
    kinds = Counter(ask_as(StrategyName.EVOLVE, archive, seed, round_index, slot).kind for slot in range(4))
    assert kinds == {Kind.FRESH: 1, Kind.IMPROVE: 2, Kind.COMBINE: 1}


def test_which_slot_is_fresh_differs_between_rounds_and_seeds():
    archive = make_archive(*make_library())
    kinds = [ask_as(StrategyName.EVOLVE, archive, seed, index).kind for seed in range(3) for index in range(1, 9)]
    assert len(set(kinds)) == 3


def test_what_cannot_be_combined_is_improved():
    lonely = make_archive(make_library()[0])
    kinds = {ask_as(StrategyName.EVOLVE, lonely, seed).kind for seed in range(20)}
    assert kinds == {Kind.FRESH, Kind.IMPROVE}


def test_the_control_sees_nothing_but_the_library():
    found = make_member(1, 0, 1.0)
    refused = Refused(Place(1, 1), "odd", Author.LLM, "syntax", "It does not parse.")
    archive = replace(make_archive(*make_library(), found), refused=(refused,))
    shown = show(StrategyName.BEST_OF_N, archive)
    assert shown == make_archive(*make_library())
    assert ask_as(StrategyName.BEST_OF_N, archive) == Request(Kind.FRESH)


@given(archives(), st.integers(0, 99), st.integers(0, 3), st.data())
@settings(max_examples=100)
def test_no_measurement_changes_what_the_blind_are_asked(archive, seed, slot, data):
    lowers = data.draw(st.lists(st.floats(-2, 2), min_size=len(archive.members), max_size=len(archive.members)))
    changed = tuple(
        replace(each, screened=make_member(9, 9, lower).screened, is_stopped=False, failures=("diverged",))
        for each, lower in zip(archive.members, lowers, strict=True)
    )
    other = replace(archive, members=changed)
    assert ask_as(StrategyName.BLIND, archive, seed, slot=slot) == ask_as(StrategyName.BLIND, other, seed, slot=slot)
    assert show(StrategyName.BLIND, archive) == show(StrategyName.BLIND, other)


def test_the_blind_ask_for_good_and_bad_parents_alike():
    archive = make_archive(make_member(1, 0, 2.0), make_member(1, 1, -2.0), make_member(1, 2, is_stopped=True))
    chosen = Counter(place for seed in range(300) for place in ask_as(StrategyName.BLIND, archive, seed).parents)
    assert min(chosen.values()) > 0.7 * max(chosen.values())
    assert len(chosen) == 3


def test_a_chat_goes_on_from_the_latest_loss_and_remembers_all_before_it():
    members = (*make_library(), make_member(1, 0, 0.5), make_member(1, 1, is_stopped=True), make_member(2, 0, -0.5))
    request = ask_as(StrategyName.DISCOPOP, make_archive(*members))
    assert request == Request(Kind.IMPROVE, (Place(2, 0),), (Place(1, 0), Place(1, 1)))


def test_a_chat_begins_with_something_fresh():
    assert ask_as(StrategyName.DISCOPOP, make_archive(*make_library())) == Request(Kind.FRESH)

"""The search of a plan, against counting one by one."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery_service.domain import plans
from discovery_service.domain.budget import Spend
from discovery_service.domain.campaign import Budgets
from discovery_service.domain.plans import Played, Slot, play


def make_round(size: int, *, usual: int = 0, worst: int = 0, whole: int = 14, first: int = 7) -> list[Slot]:
    """As the engine counts: every other one of a round is cheap."""
    trainings = [first if slot % 2 else whole for slot in range(size)]
    return [Slot(Spend(1, count, usual), Spend(1, count, worst)) for count in trainings]


def play_rounds(rounds: Sequence[Sequence[Slot]], max_open: int = 2, beside: int = 0, **budgets: int) -> Played:
    return play(Budgets(**budgets), Spend(evaluations=beside), rounds, max_open_rounds=max_open)


@given(st.integers(1, 9), st.integers(0, 900), st.integers(0, 50))
def test_of_what_is_known_beforehand_fits_what_fits_and_not_one_more(size: int, evaluations: int, beside: int) -> None:
    played = play_rounds([make_round(size)], evaluations=evaluations + beside, beside=beside, candidates=1000)
    assert played.evaluations <= evaluations
    assert played.binds == "evaluations"
    # A last round begins with its dearest slot.
    assert evaluations - played.evaluations < 14
    assert played.rounds >= -(-played.proposals // size)


def test_candidates_end_a_search_that_nothing_else_does() -> None:
    assert play_rounds([make_round(4)], candidates=10) == Played(10, 3, 2 * 42 + 21, "candidates")


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 400), st.integers(1, 30), st.integers(1, 30))
def test_a_question_is_asked_only_where_its_worst_fits_beside_what_the_others_came_to(
    size: int, max_open: int, tokens: int, usual: int, more: int
) -> None:
    worst = usual + more
    played = play_rounds([make_round(size, usual=usual, worst=worst)], max_open, tokens=tokens, candidates=1000)
    assert played.binds == "tokens"
    # All that came before are closed when the last one is asked, or it would be asked later.
    assert (played.proposals * usual) + worst > tokens
    if played.proposals:
        assert (played.proposals - 1) * usual + worst <= tokens


def test_where_not_even_one_question_fits_nobody_is_asked() -> None:
    asked = make_round(4, usual=5_788, worst=18_971)
    assert play_rounds([asked], tokens=15_000) == Played(0, 0, 0, "tokens")
    assert play_rounds([asked], tokens=18_971).proposals == 1


def test_a_round_opens_beside_one_at_its_worst_or_waits_until_that_has_closed() -> None:
    """Of a room for three at their worst: two, then one beside them or two after them."""
    asked = make_round(2, usual=10, worst=40)
    assert play_rounds([asked], 2, tokens=120, candidates=4).rounds == 3
    assert play_rounds([asked], 1, tokens=120, candidates=4).rounds == 2


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 20), st.integers(0, 20), st.integers(0, 2000))
def test_passing_over_the_beginning_changes_nothing(
    size: int, max_open: int, usual: int, more: int, tokens: int
) -> None:
    rounds = [make_round(size, usual=usual, worst=usual + more), make_round(size)]
    with pytest.MonkeyPatch.context() as patched:
        found = []
        for played in (0, 10**9):
            patched.setattr(plans, "_PLAYED", played)
            found.append(play_rounds(rounds, max_open, tokens=tokens, candidates=300))
    assert found[0] == found[1]


def test_a_search_of_a_thousand_million_is_planned_at_once() -> None:
    assert play_rounds([make_round(4)], candidates=10**9).proposals == 10**9

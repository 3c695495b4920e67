"""Turns at a model: never more than it takes, and nobody who waits is forgotten."""

from uuid import uuid4

from workers.llm.turns import Turns


def test_a_model_has_as_many_turns_as_it_takes_and_keeps_none_from_another() -> None:
    turns = Turns()
    assert [turns.take("slow", 2, uuid4()) for _ in range(3)] == [True, True, False]
    assert turns.take("fast", 1, uuid4())


def test_whoever_gives_a_turn_back_is_told_once_of_all_who_wait_for_it() -> None:
    turns, late, later = Turns(), uuid4(), uuid4()
    assert turns.take("slow", 1, uuid4())
    assert not any(turns.take("slow", 1, each) for each in (late, later, late))
    assert turns.give_back("slow") == [late, later]
    assert turns.take("slow", 1, late)
    assert turns.give_back("slow") == []

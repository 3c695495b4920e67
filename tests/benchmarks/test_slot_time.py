"""What became of a campaign's slot-time: its parts add up, and each is what its name says."""

import pytest

from benchmarks.slot_time import Span, find_slot_time


def train(started_at: float, finished_at: float, *, queued_at: float = 0.0, trained_s: float | None = None) -> Span:
    return Span(queued_at, started_at, finished_at, finished_at - started_at if trained_s is None else trained_s)


def test_slots_that_train_all_the_time_are_never_idle() -> None:
    time = find_slot_time([train(0, 5), train(0, 5), train(5, 10), train(5, 10)], slots=2, until=10)
    assert time is not None
    assert (time.total_s, time.idle_share, time.starved_s, time.lost_s) == (20, 0, 0, 0)


def test_a_slot_without_an_evaluation_is_starved() -> None:
    time = find_slot_time([train(0, 10), train(0, 4), train(7, 10, queued_at=7)], slots=2, until=10)
    assert time is not None
    assert (time.trained_s, time.starved_s, time.lost_s) == (17, 3, 0)
    assert time.idle_share == pytest.approx(0.15)


def test_while_an_evaluation_waits_beside_a_free_slot_the_time_is_lost() -> None:
    time = find_slot_time([train(0, 10), train(0, 4), train(7, 10, queued_at=0)], slots=2, until=10)
    assert time is not None
    assert (time.starved_s, time.lost_s) == (0, 3)
    assert (time.lost_share, time.idle_share) == (pytest.approx(0.15), pytest.approx(0.15))


def test_so_is_what_an_evaluation_takes_beside_its_training() -> None:
    time = find_slot_time([train(0, 10, trained_s=9.5), train(0, 10, trained_s=9.5)], slots=2, until=10)
    assert time is not None
    assert (time.trained_s, time.starved_s, time.lost_s) == (19, 0, 1)


def test_it_counts_from_the_first_training_on_and_not_from_what_was_measured_before() -> None:
    spans = [train(0, 1, trained_s=0), train(5, 10), train(5, 10)]
    time = find_slot_time(spans, slots=2, until=10)
    assert time is not None
    assert (time.total_s, time.idle_share) == (10, 0)


def test_what_comes_after_the_last_round_was_opened_does_not_count() -> None:
    time = find_slot_time([train(0, 20), train(0, 6), train(12, 20, queued_at=12)], slots=2, until=10)
    assert time is not None
    assert (time.total_s, time.trained_s, time.starved_s) == (20, 16, 4)


def test_where_nothing_was_trained_nothing_is_said() -> None:
    assert find_slot_time([train(0, 1, trained_s=0)], slots=2, until=10) is None
    assert find_slot_time([train(11, 12)], slots=2, until=10) is None

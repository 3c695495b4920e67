"""A forecast says what it rests on, and nothing where nobody knows."""

import pytest

from discovery_service.domain.forecast import make_forecast


def test_it_is_what_is_left_times_the_mean_over_the_slots() -> None:
    found = make_forecast(300, measured=60, device_seconds=81.0, slots=2)
    assert (found.mean_seconds, found.seconds) == (1.35, pytest.approx(300 * 1.35 / 2))
    assert found.rests_on.startswith("At most 300 evaluations of 1.35 s, the mean so far, on 2 slots")


def test_nothing_left_takes_no_time_even_where_nobody_trains() -> None:
    assert make_forecast(0, measured=0, device_seconds=0.0, slots=0).seconds == 0.0


@pytest.mark.parametrize(
    ("measured", "slots", "halted", "says"),
    [
        (0, 2, None, "Nothing of it is measured yet."),
        (60, 0, None, "No worker that trains is live."),
        (60, 2, "It is paused.", "It is paused."),
    ],
)
def test_where_nobody_knows_it_says_why(measured: int, slots: int, halted: str | None, says: str) -> None:
    found = make_forecast(10, measured=measured, device_seconds=measured * 1.0, slots=slots, halted=halted)
    assert (found.seconds, found.rests_on) == (None, says)
